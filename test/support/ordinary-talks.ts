/** Ordinary people on WhatsApp, as they write to companies in Brazil: what they say, in bursts, and how they wait. Nothing of it may count as abuse. */

/** Whole first bursts, each message as it is typed. */
export const BURSTS: readonly (readonly string[])[] = [
  ['oi', 'oi', 'tudo bem?', 'queria saber o preço', 'do bolo', 'de cenoura'],
  ['boa tarde', 'boa tarde', 'alguém?', 'oiii', '????', 'tem alguém aí', 'oi', 'preciso muito falar'],
  ['kkkkkkkk', 'kkkkk', 'aff', 'desculpa', 'mandei errado', 'era pra minha mãe', 'kkkk'],
  ['Rua das Acácias 40', 'apto 12', 'Jardim Paulista', 'perto da padaria', 'portão verde', 'pode tocar a campainha'],
  ['1 camiseta azul M', '2 brancas G', '1 preta P', '3 meias', '1 boné', 'e o frete', 'pra Osasco', '?'],
  ['sim', 'sim', 'pode ser', 'isso', 'isso mesmo', 'sim', 'ok', 'ok', 'blz'],
  ['👍', '👍', '❤️', '😂😂😂', '🙏', '👍', '👏👏'],
  ['gente', 'pelo amor', 'meu pedido', 'cadê', 'já paguei', 'tá aqui o comprovante', 'olha', 'paguei ontem', 'respondam'],
  ['não', 'não quero', 'quero o outro', 'o azul', 'não o verde', 'o azul mesmo', 'tamanho M', 'não, G', 'G'],
  ['Bom dia! Gostaria de saber se vocês fazem entrega no centro.', 'Seria para amanhã de manhã.', 'Obrigada!'],
  ['moça', 'moço', 'alguém', 'sei lá', 'kkk', 'tem vaga de emprego aí?', 'meu primo quer'],
  ['segue o pix', '11 9 1234-5678', 'nome Maria', 'banco azul', 'confirma aí', 'por favor', 'por favor mesmo'],
  ['2', '1', '2', '3', 'não', 'a 2', 'isso'],
  ['vc', 'vcs', 'abrem', 'domingo', '?', 'n', 'sei', 'se', 'vou', 'conseguir', 'ir', 'sabado'],
  ['Vocês são robô?', 'quero falar com uma pessoa', 'uma pessoa de verdade', 'humano', 'atendente', 'ATENDENTE'],
  ['obrigada', 'obrigada viu', 'Deus abençoe', 'boa noite', 'até amanhã', 'bjs'],
];

/** Short lines, any of which may come in any talk. */
export const LINES: readonly string[] = [
  'oi, boa tarde', 'quanto custa?', 'e o frete?', 'aceita pix?', 'tem no tamanho M?', 'e em azul?', 'pode ser', 'não', 'sim, por favor', 'vou querer dois',
  'meu nome é Ana', 'é pra presente', 'entrega hoje?', 'até que horas vocês ficam abertos?', 'onde fica?', 'tem estacionamento?', 'parcela?', 'em quantas vezes?',
  'achei caro', 'faz um desconto?', 'vou pensar', 'depois eu volto', 'ainda tem?', 'reserva pra mim', 'qual a chave?', 'paguei', 'chegou não', 'cadê meu pedido?',
  'ninguém me responde', 'desculpa a demora', 'tava no ônibus', 'kkkk', 'ah tá', 'entendi', 'hum', 'beleza', 'show', 'perfeito!', 'obrigada viu', 'valeu',
  'troca?', 'veio errado', 'rasgou', 'quero cancelar', 'não precisa mais', 'meu marido que vê isso', 'ele tá trabalhando', 'me liga?', 'não posso falar agora',
  'manda foto', 'que lindo', 'amei', 'é esse mesmo', 'o outro', 'aquele da vitrine', 'de ontem', 'vi no insta', 'minha amiga comprou aí', 'ela indicou',
  'é longe?', 'tem como entregar?', 'o CEP é da Vila Mariana', 'número 40', 'casa 2', 'fundos', 'pode deixar na portaria', 'tem cachorro', 'buzina', 'chego 15h',
]; // prettier-ignore
