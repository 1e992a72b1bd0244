/**
 * What a contact's question looks for. Customers do not use the words of a price list ("quanto sai?", "cadê meu pacote?"), so a word brings those that mean the
 * same in a shop along, for less. Pure.
 */
import { foldWords } from '../words/fold.ts';

/** One thing that is asked for: its own word, and words that mean the same. Each is plain letters and digits. */
export type Wanted = { word: string; also: string[] };

/** More words than this in one question are not looked for. */
const MAX_WANTED = 24;

/** In the order of the question, each once. */
export function wantedIn(question: string): Wanted[] {
  const words = foldWords(question)
    .split(' ')
    .filter((word) => word.length >= 2 && /^[\p{L}\p{N}]+$/u.test(word) && !COMMON.has(word));
  return [...new Set(words)].slice(0, MAX_WANTED).map((word) => ({ word, also: alike(word) }));
}

function alike(word: string): string[] {
  const found = GROUPS.filter((group) => group.includes(word)).flat();
  return [...new Set(found)].filter((each) => each !== word);
}

/** The word of `known` that `typed` was probably meant to be; null: none is near. */
export function nearestWord(typed: string, known: readonly string[]): string | null {
  const most = typed.length < 4 ? 0 : typed.length < 7 ? 1 : 2;
  let best: string | null = null;
  let least = most + 1;
  for (const word of known) {
    const steps = distance(typed, word, least - 1);
    if (steps < least) [best, least] = [word, steps];
  }
  return best;
}

/** Letters to add, drop, change or swap with the next; above `most` it says `most + 1`. */
function distance(a: string, b: string, most: number): number {
  if (Math.abs(a.length - b.length) > most) return most + 1;
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let steps = Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) steps = Math.min(steps, (before[j - 2] ?? 0) + 1);
      next.push(steps);
    }
    if (Math.min(...next) > most) return most + 1;
    [before, row] = [row, next];
  }
  return row[b.length] ?? most + 1;
}

/** Words that stand in any question. */
const COMMON = new Set(
  `a o as os um uma uns umas de do da dos das no na nos nas em por pelo pela para pra pro com sem sob sobre ate e ou mas que se eu tu ele ela nos voces
  voce vc vcs me te lhe meu minha meus minhas seu sua seus suas esse essa isso este esta isto aquele aquela ai ali la aqui ja ainda so tambem tb nao sim sei
  ser sou era foi for estou esta estao estava to ta tava tem tenho tinha ter ha vai vou ir queria quero gostaria poderia pode posso podem consigo saber
  dizer fala favor pfv oi ola opa bom boa dia tarde noite obrigado obrigada valeu gente moca moco amigo amiga por favor entao tipo assim como qual quais quem
  quando mais muito muita pouco algum alguma algo tudo todo toda todos coisa fazer faz fiz faco fazem dar da dou deu la mim mesmo mesma agora hoje sera
  né ne eh ah voceis alguem nenhum nenhuma`
    .split(/\s+/)
    .filter(Boolean),
);

/** Words that mean the same to who asks a company something. Plain, singular and plural as Portuguese stemming leaves them apart. */
const GROUPS: readonly (readonly string[])[] = [
  'preco valor custa custo quanto sai preços tabela orcamento cobram cobra taxa cobrado',
  'entrega entregar entregam entregue frete envio enviar envia enviam despacha chega chegar mandar manda mandam correio correios transportadora motoboy receber casa',
  'prazo demora demoram dias tempo leva chega uteis',
  'troca trocar trocam devolucao devolver devolvo arrependimento arrependi reembolso estorno servir serviu gostei tamanho',
  'reembolso estorno dinheiro volta devolvem devolucao',
  'defeito quebrado quebrada quebrou estragou estragado rasgado rasgou garantia conserto problema descosturou manchado',
  'pagamento pagar pago paga pix cartao boleto parcela parcelas parcelar parcelado parcelamento vezes dinheiro credito debito formas aceita aceitam dividir juros',
  'horario hora horas abre abrem abrir aberto aberta fecha fecham fechado funciona funcionam funcionamento atendimento atende atendem expediente',
  'domingo domingos feriado feriados sabado sabados fim semana',
  'endereco onde fica ficam local localizacao localizada rua avenida bairro loja mapa chegar visitar estacionamento estacionar',
  'estacionamento estacionar carro vaga vagas',
  'desconto descontos promocao promocoes cupom oferta barato abatimento',
  'tamanho tamanhos medida medidas numero numeracao grade veste serve manequim',
  'disponivel estoque possui vende vendem trabalham acabou esgotado',
  'retirar retirada buscar pegar busco pego',
  'telefone contato ligar fone falar atendente email mail site instagram insta facebook redes',
  'nota fiscal nf nfe cnpj',
  'presente presentear embrulho embrulhar embalagem embalar papel laco',
  'rastreio rastrear rastreamento codigo acompanhar cade pedido encomenda pacote',
  'cancelar cancelamento cancela desistir desisti',
  'gratis gratuito gratuita graca isento',
  'agendar agendamento marcar agenda consulta visita',
  'crianca criancas infantil menino menina bebe filho filha kids',
  'feminino feminina mulher mulheres',
  'masculino masculina homem homens marido',
  'camiseta camisetas camisa camisas blusa blusas',
  'calca calcas jeans bermuda',
  'sapato tenis calcado sandalia chinelo',
  'lavar lavagem cuidado cuidados encolhe desbota passar material tecido algodao',
  'atacado revenda revender lote quantidade cnpj',
  'cidade cidades regiao estado estados brasil interior longe fora',
  'exterior internacional fora pais',
  'urgente rapido rapida expresso expressa',
  'vale credito giftcard presente',
].map((line) => line.split(' ').map((word) => foldWords(word)));
