/** W11: another agent that words each reply anew, at any pace, and people who write fast, well or much. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { abuseOf } from '../../src/turns/checks/abuse.ts';
import type { AbuseMessage, AbuseReason } from '../../src/turns/checks/abuse.ts';

const START = new Date('2026-03-02T12:00:00Z').getTime();
const LIMITS = { turnsPerDay: 1_000, tokensPerDay: 100_000_000 };

/** What our agent says, in turn. */
const OURS = [
  'Oi! Sou a Júlia, da Padaria Sol. Em que posso ajudar?',
  'Temos sim! Quer que eu separe um para você?',
  'Certo. Para que dia e horário seria?',
  'Anotado. Mais alguma coisa?',
  'O bolo de cenoura custa R$ 50 e serve dez pessoas.',
];

/** One reply or a burst of them, and the seconds until the first. */
type Reply = { texts: (string | { type: string })[]; seconds: number };

/** The round (from 1) at which a talk is stopped, and why; null: never. */
function stoppedAt(replies: Reply[]): { round: number; reason: AbuseReason } | null {
  const history: AbuseMessage[] = [];
  let now = START;
  for (const [index, { texts, seconds }] of replies.entries()) {
    now += 8_000;
    history.push({ direction: 'out', author: 'agent', type: 'text', text: OURS[index % OURS.length] ?? '', at: new Date(now) });
    const pending = texts.map((text, n): AbuseMessage => {
      // WhatsApp tells whole seconds
      const at = new Date(Math.floor((now + (seconds + n * 3) * 1000) / 1000) * 1000);
      return typeof text === 'string'
        ? { direction: 'in', author: 'contact', type: 'text', text, at }
        : { direction: 'in', author: 'contact', type: text.type, text: `[${text.type}]`, at };
    });
    now = Math.max(now, ...pending.map((message) => message.at.getTime()));
    const reason = abuseOf(
      { now: new Date(now), history: history.slice(-39), pending, today: { turns: index, tokens: 0 }, waitedSince: null },
      LIMITS,
    );
    if (reason !== null) return { round: index + 1, reason };
    history.push(...pending);
  }
  return null;
}

function talk(texts: string[], pace: (n: number) => number): Reply[] {
  return texts.map((text, n) => ({ texts: [text], seconds: pace(n) }));
}

const AGENTS: Record<string, string[]> = {
  'a clinic’s agent that takes us for a patient': [
    'Olá! Seja bem-vindo à Clínica Vida. Como posso ajudar você hoje?',
    'Entendi, obrigado por explicar. Você gostaria de agendar uma consulta conosco?',
    'Que interessante! Nossa equipe trabalha com várias especialidades. Qual delas você procura?',
    'Perfeito! Trabalhamos de segunda a sexta, das 8h às 18h. Esse horário atende você?',
    'Compreendo. Caso prefira, posso verificar a disponibilidade de outros profissionais.',
    'Com certeza! Para prosseguir, preciso apenas do seu nome completo e da data de nascimento.',
    'Agradeço a informação. Há mais alguma dúvida que eu possa esclarecer?',
    'Claro! Aceitamos os principais convênios e também atendimento particular.',
    'Fico à sua disposição para o que precisar. Deseja continuar com o agendamento?',
    'Sem problemas! Quando quiser retomar, é só me avisar por aqui.',
    'Entendo perfeitamente. Posso ajudar em mais alguma coisa neste momento?',
    'Foi um prazer conversar com você! Tenha um excelente dia.',
  ],
  'a shop’s agent, short and merry': [
    'Oi, tudo bem? Aqui é a Bia, da loja Flor. Posso te ajudar?',
    'Que legal! Você já conhece os nossos produtos naturais? 🌸',
    'Ah, entendi! E qual seria a cor de sua preferência?',
    'Ótima escolha! Temos opções a partir de R$ 89,90. 😊',
    'Show! Quer que eu reserve uma peça para você?',
    'Combinado! Qual é o melhor endereço para a entrega?',
    'Perfeito, já deixei anotado aqui. Mais alguma dúvida?',
    'Claro que sim! A troca pode ser feita em até 30 dias.',
    'Imagina, estamos aqui para isso! Algo mais que deseja?',
    'Que ótimo saber disso! Volte sempre que precisar. 💛',
    'Sim, entregamos em toda a região metropolitana.',
    'Obrigada pelo contato! Até a próxima compra. 🌷',
  ],
  'one that plays a customer, without a word of service': [
    'Bom dia! Estou procurando um bolo para a festa de quinze anos da minha filha no próximo mês.',
    'Que maravilha! Gostaria de saber quais sabores vocês recomendam para cerca de cinquenta convidados.',
    'Interessante. O bolo de cenoura com cobertura de chocolate parece uma opção bastante apreciada.',
    'Perfeito. E seria possível incluir uma decoração temática com flores naturais no topo do bolo?',
    'Compreendo a questão do prazo. Podemos então definir a entrega para o sábado, às quinze horas.',
    'Excelente. Além do bolo, eu gostaria de avaliar também a contratação de docinhos variados.',
    'Agradeço a explicação detalhada. Poderia informar quais formas de pagamento são aceitas?',
    'Entendido. Nesse caso, prefiro efetuar o pagamento por transferência no momento da retirada.',
    'Isso resolve a questão do pagamento. Sobre a embalagem, ela é adequada para um trajeto longo?',
    'Ótimo, fico mais tranquila em saber. Haveria algum custo adicional para essa embalagem reforçada?',
    'Faz sentido. Vou conversar com a família e confirmo a quantidade final de docinhos em breve.',
    'Combinado. Desde já agradeço a atenção e a paciência em responder a cada uma das perguntas.',
  ],
  'an English one': [
    'Hello! Thank you for reaching out to Sunrise Travel. How can I help you today?',
    'Got it, that sounds wonderful. Could you share your preferred travel dates?',
    'Thanks for the details! Our team offers several packages for that destination.',
    'Certainly. Would you prefer a beachfront hotel or something in the city?',
    'Great choice! I can check the availability for you right away.',
    'Of course, breakfast is included in every one of these options.',
    'I understand. Let me know if you would like to compare the prices.',
    'No problem at all! We also offer free cancellation up to 48 hours before.',
    'Absolutely, I would be happy to assist with the airport transfer as well.',
    'Thank you for confirming. Is there anything else I can do for you?',
    'You are very welcome! Feel free to write whenever you are ready.',
    'Have a lovely day, and we hope to hear from you soon!',
  ],
  'one that writes plainly, at once, more than hands can': Array.from(
    { length: 12 },
    (_, n) =>
      `recebi a sua mensagem de numero ${n} e ja vou encaminhar para o setor de ${['compras', 'vendas', 'estoque', 'rh'][n % 4]} analisar com calma`,
  ),
};

const PACES: Record<string, (n: number) => number> = {
  'at once': () => 0,
  'after two seconds': () => 2,
  'with an uneven pace': (n) => 3 + ((n * 7) % 23),
  'after a minute': (n) => 55 + (n % 5) * 4,
  'after ten minutes': (n) => 500 + ((n * 131) % 300),
};

for (const [name, texts] of Object.entries(AGENTS))
  for (const [paceName, pace] of Object.entries(PACES)) {
    // what writes like a hurried person is told by its speed only
    if (name.includes('plainly') && !['at once', 'after two seconds'].includes(paceName)) continue;
    test(`W11 agents: ${name}, ${paceName}, is noticed within 12 rounds`, () => {
      const stopped = stoppedAt(talk(texts, pace));
      assert.ok(stopped !== null, 'noticed');
      assert.ok(stopped.round <= 12 && stopped.round >= 6, `in round ${stopped.round}`);
      assert.ok(['abuse_agent', 'abuse_loop'].includes(stopped.reason), stopped.reason);
    });
  }

const PEOPLE: Record<string, Reply[]> = {
  'a fast one on the phone': talk(
    [
      'oi',
      'tem bolo?',
      'quanto',
      'de cenoura',
      'pode ser',
      'sab',
      '15h',
      'sim',
      'pix',
      'qual a chave',
      'blz',
      'vlw',
      'paguei',
      'ok',
      'obg',
      'ate',
    ],
    (n) => [2, 5, 3, 7, 4, 9, 3, 6, 11, 4, 3, 8, 14, 3, 5, 4][n] ?? 5,
  ),
  'a fast one at a keyboard': talk(
    [
      'Boa tarde',
      'Vocês têm bolo de pote?',
      'Quanto custa cada?',
      'E o de ninho?',
      'Fecho 20',
      'Pra sexta',
      'De manhã',
      'Rua das Flores, 12',
      'Sim',
      'Cartão',
      'Perfeito',
      'Obrigada!',
      'Não, só isso',
      'Até',
    ],
    (n) => [4, 6, 5, 4, 3, 9, 5, 12, 2, 3, 4, 7, 5, 3][n] ?? 5,
  ),
  'a formal lady, with short words between': talk(
    [
      'Bom dia. Gostaria de encomendar um bolo para o aniversário do meu neto.',
      'De chocolate, por favor.',
      'No sábado, às 14 horas. Seria possível?',
      'Excelente.',
      'Meu nome é Maria Helena. Moro na Rua das Acácias, número 40.',
      'Sim, é uma casa.',
      'Prefiro pagar na entrega, em dinheiro.',
      'Não será necessário.',
      'Muito obrigada pela gentileza. A senhora poderia confirmar o valor?',
      'Está certo.',
      'Uma última pergunta: o bolo leva amendoim? Meu neto é alérgico.',
      'Que bom. Até sábado.',
      'Igualmente.',
      'Deus abençoe.',
    ],
    (n) => 30 + n * 9,
  ),
  'a lawyer who asks in whole sentences, in bursts': [
    ['Boa tarde. Represento a empresa Alfa e preciso de um orçamento.', 'É para um evento.'],
    ['São cento e vinte pessoas, no dia 14 de maio.'],
    ['Precisamos de coffee break pela manhã e à tarde.', 'Sem glúten para dez pessoas.'],
    ['O local é o auditório do edifício Central, no Paraíso.'],
    ['Emitem nota fiscal em nome da empresa? É indispensável.', 'E o prazo de pagamento?'],
    ['Trinta dias seria o ideal para o nosso financeiro.'],
    ['Poderiam enviar a proposta por e-mail até amanhã?', 'contato@example.com'],
    ['Correto. O assunto pode ser evento de maio.'],
    ['Precisaremos também de toalhas e de louça.', 'Isso está incluso?'],
    ['Entendo. Vamos considerar as duas opções, então.'],
    ['Quem seria o responsável no dia do evento?'],
    ['Ótimo. Aguardo a proposta para submeter à diretoria.'],
  ].map((texts, n) => ({ texts, seconds: 40 + n * 13 })),
  'one who talks much, with voice notes': Array.from({ length: 14 }, (_, n) => ({
    texts:
      n % 3 === 1
        ? [{ type: 'audio' }]
        : ['Olha, eu estava pensando em fazer uma festa surpresa para a minha mãe, o que você acha?'.slice(0, 60 + n)],
    seconds: 45 + n * 5,
  })),
  'one who dictates long texts without a full stop': talk(
    [
      'então eu queria ver com você a questão do pedido que fiz na semana passada e ainda não chegou aqui',
      'é o da toalha azul que minha irmã comprou pra mim junto com o lençol de solteiro',
      'eu já falei com o rapaz da transportadora e ele disse que não sabe de nada disso',
      'pois é moça e agora eu preciso disso pra sexta porque vou viajar pra casa da minha mãe',
      'o endereço é aquele mesmo da rua do mercado perto da escola o portão é verde',
      'meu marido fica em casa de manhã mas ele não escuta a campainha direito',
      'pode deixar com a vizinha da frente que ela é muito boazinha e guarda pra gente',
      'o nome dela é Conceição ela mora no sobrado amarelo desde que eu era criança',
      'se não der pra entregar eu prefiro o dinheiro de volta no cartão da minha irmã',
      'não tenho o número do pedido aqui comigo ele ficou no outro celular que quebrou',
      'vou procurar o email e te mando mais tarde quando eu chegar do serviço',
      'muito obrigada viu fica com Deus e desculpa o incômodo de sempre',
    ],
    (n) => 60 + n * 3,
  ),
  'a customer who thanks, and asks whole questions': talk(
    [
      'Oi, vocês abrem no feriado?',
      'Que bom! E até que horas?',
      'Legal, obrigada pelo retorno!',
      'Ah, e tem estacionamento aí perto?',
      'Certo. Vou com meu pai, ele usa cadeira de rodas.',
      'Tem rampa na entrada?',
      'Perfeito!',
      'Posso reservar uma mesa para quatro pessoas às 10h?',
      'No nome de Carla.',
      'Isso, Carla Dias.',
      'Muito obrigada! Até lá.',
      '😊',
      'Só mais uma coisa: tem opção vegana?',
      'Ótimo!',
    ],
    (n) => 8 + ((n * 5) % 17),
  ),
  'a learner of Portuguese who writes carefully': talk(
    [
      'Olá, eu sou de Alemanha e moro aqui.',
      'Eu quero comprar pão preto.',
      'Vocês têm pão de centeio?',
      'Quanto custa um pão grande?',
      'Isso é bom para mim.',
      'Eu posso buscar amanhã?',
      'Eu não tenho carro, desculpe.',
      'A entrega custa quanto?',
      'Está bem, obrigado.',
      'Meu endereço é Rua Azul 10.',
      'Não, só isso.',
      'Tchau e bom dia!',
    ],
    (n) => 50 + n * 6,
  ),
  'yes and no to a long form': talk(
    ['sim', 'não', 'sim', 'sim', 'M', '38', 'não', 'azul', 'sim', 'não', 'débito', 'sim', 'pode', 'isso'],
    (n) => [3, 2, 4, 2, 5, 3, 6, 7, 2, 3, 9, 3, 4, 2][n] ?? 3,
  ),
};

for (const [name, replies] of Object.entries(PEOPLE))
  test(`W11 people: ${name}, is answered to the end`, () => {
    assert.equal(stoppedAt(replies), null);
  });

test('W11 agents: somebody of the team who writes in between begins the count anew', () => {
  const [, texts] = Object.entries(AGENTS)[0] ?? ['', []];
  const history: AbuseMessage[] = texts.slice(0, 10).flatMap((text, n): AbuseMessage[] => [
    { direction: 'out', author: n === 5 ? 'human' : 'agent', type: 'text', text: 'Certo.', at: new Date(START + n * 60_000) },
    { direction: 'in', author: 'contact', type: 'text', text, at: new Date(START + n * 60_000 + 20_000) },
  ]);
  const now = new Date(START + 10 * 60_000);
  const pending = history.slice(-1);
  assert.equal(abuseOf({ now, history: history.slice(0, -1), pending, today: { turns: 0, tokens: 0 }, waitedSince: null }, LIMITS), null);
});

test('W11 agents: ten whole sentences over three days are a customer', () => {
  const [, texts] = Object.entries(AGENTS)[0] ?? ['', []];
  assert.equal(stoppedAt(talk(texts, () => 6 * 3600)), null);
});
