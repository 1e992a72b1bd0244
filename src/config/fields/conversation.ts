/** The conversation, the model, and who is told. */
import { DEFAULT_COMPLEX_MODEL, DEFAULT_MODEL, EFFORTS } from '../../claude/models.ts';
import { bool, hostPorts, integer, oneOf, price, slackUsers, text, url } from '../variable-types.ts';
import { told } from '../told.ts';

const DAY_SECONDS = 86_400;

export const CONVERSATION = {
  title: { en: 'Conversation', pt: 'Conversa' },
  fields: {
    DEBOUNCE_MS: told(integer(0, 60_000).default(3000), {
      en: 'milliseconds to wait for the end of a burst of messages before answering',
      pt: 'milissegundos de espera pelo fim de uma rajada de mensagens antes de responder',
    }),
    DEBOUNCE_MAX_MS: told(integer(0, 600_000).default(15_000), {
      en: 'the longest such wait while more messages arrive, in milliseconds',
      pt: 'a maior dessas esperas enquanto chegam mais mensagens, em milissegundos',
    }),
    HUMAN_DELAY: told(bool().default(true), {
      en: 'show typing before a message; `false` sends at once',
      pt: 'mostra "digitando" antes de uma mensagem; `false` envia na hora',
    }),
    MAX_MESSAGE_AGE_MINUTES: told(integer(1, 43_200).default(120), {
      en: 'inbound messages that are older, in minutes, are listed to a person, not answered',
      pt: 'mensagens recebidas mais velhas, em minutos, são listadas para uma pessoa, não respondidas',
    }),
    TAKEOVER_MINUTES: told(integer(1, 10_080).default(30), {
      en: 'minutes that the agent keeps quiet after a person wrote from the phone',
      pt: 'minutos de silêncio do agente depois que uma pessoa escreve pelo telefone',
    }),
    TAKEOVER_FROM_API: told(bool().default(false), {
      en: '`true` when people answer in another program that sends through Evolution (Chatwoot, a CRM): its messages quiet the agent too',
      pt: '`true` quando pessoas respondem em outro programa que envia pela Evolution (Chatwoot, um CRM): as mensagens dele também calam o agente',
    }),
    HANDOFF_REMINDER_MINUTES: told(integer(1, 10_080).default(10), {
      en: 'minutes after which people are told once more of a handoff that nobody took',
      pt: 'minutos depois dos quais um handoff que ninguém assumiu é lembrado uma vez',
    }),
    HANDOFF_TIMEOUT_HOURS: told(integer(0, 8_760).default(24), {
      en: 'hours after which a handoff in which nobody writes goes back to the agent; `0`: never',
      pt: 'horas depois das quais um handoff em que ninguém escreve volta para o agente; `0`: nunca',
    }),
    ABUSE_GATES: told(bool().default(true), {
      en: 'loops between bots, floods, repeated words and too much of a day are stopped before the model; `false` for load tests',
      pt: 'laços entre robôs, enxurradas, repetições e excesso de um dia são parados antes do modelo; `false` para testes de carga',
    }),
    MAX_TURNOS_CONTATO_DIA: told(integer(1, 100_000).default(100), {
      en: 'turns of one contact in any 24 hours; above, a person is told and the agent keeps quiet',
      pt: 'turnos de um contato em quaisquer 24 horas; acima disso uma pessoa é avisada e o agente se cala',
    }),
    MAX_TOKENS_CONTATO_DIA: told(integer(1, 1_000_000_000).default(1_000_000), {
      en: 'tokens of one contact in any 24 hours',
      pt: 'tokens de um contato em quaisquer 24 horas',
    }),
    WITHDRAW_UNSENT_PARTS: told(bool().default(true), {
      en: 'parts of an answer that have not left are withdrawn when the contact writes again, and the next answer takes them up',
      pt: 'partes de uma resposta que ainda não saíram são retiradas quando o contato escreve de novo, e a próxima resposta as retoma',
    }),
    WORKER_CONCURRENCY: told(integer(1, 1000).optional(), {
      en: 'turns at the same time in one worker',
      pt: 'turnos ao mesmo tempo em um worker',
      standard: '200',
    }),
    PIPELINE_MAX_CONCURRENT: told(integer(1, 1000).optional(), {
      en: 'the older name of `WORKER_CONCURRENCY`, used when that is not set',
      pt: 'nome antigo de `WORKER_CONCURRENCY`, usada quando essa não está definida',
      example: '20',
    }),
  },
};

export const CLAUDE = {
  title: { en: 'Claude', pt: 'Claude' },
  fields: {
    ANTHROPIC_API_KEY: told(text().optional(), {
      en: 'key of the Anthropic API; without it inbound is stored and handed to a person',
      pt: 'chave da API da Anthropic; sem ela a entrada é guardada e passada a uma pessoa',
      example: 'change-me-anthropic-key',
    }),
    ANTHROPIC_BASE_URL: told(url('http:', 'https:').optional(), {
      en: "another address of the Messages API, such as the simulator's",
      pt: 'outro endereço da Messages API, como o do simulador',
      example: 'http://127.0.0.1:4010/anthropic',
    }),
    LLM_MODEL: told(text().default(DEFAULT_MODEL), { en: 'model of ordinary turns', pt: 'modelo dos turnos comuns' }),
    LLM_MODEL_COMPLEX: told(text().default(DEFAULT_COMPLEX_MODEL), {
      en: 'model of complaints, objections, haggling and talks of more than 5 turns; also when the first model is gone',
      pt: 'modelo de reclamações, objeções, negociação e conversas de mais de 5 turnos; também quando o primeiro deixou de existir',
    }),
    LLM_EFFORT: told(oneOf(EFFORTS).default('low'), {
      en: 'how hard a model tries: `low`, `medium`, `high`, `xhigh`, `max`; thinking is off up to `high` where the model allows it',
      pt: 'quanto o modelo se esforça: `low`, `medium`, `high`, `xhigh`, `max`; até `high` ele não pensa antes, se o modelo deixar',
    }),
    LLM_MAX_TOKENS: told(integer(1, 64_000).default(300), {
      en: 'room for one answer, in tokens; the room for thinking that a model cannot leave out comes on top',
      pt: 'espaço de uma resposta, em tokens; o do pensamento que um modelo não dispensa vem por cima',
    }),
    LLM_MAX_TOOL_ITERATIONS: told(integer(0, 20).default(3), {
      en: 'rounds of tools in one turn',
      pt: 'rodadas de ferramentas em um turno',
    }),
    LLM_TIMEOUT_SEGUNDOS: told(integer(1, 600).default(30), {
      en: 'seconds that one call of the model may take',
      pt: 'segundos que uma chamada do modelo pode levar',
    }),
    LLM_LOOP_TIMEOUT_SEGUNDOS: told(integer(1, 1800).default(60), {
      en: 'seconds that a whole turn may take',
      pt: 'segundos que um turno inteiro pode levar',
    }),
    MAX_USD_CONTATO_DIA: told(price().default(0), {
      en: 'US dollars that one contact may cost in a day (UTC); reserved before each call of a model, so it holds over any number of workers; `0`: no ceiling',
      pt: 'dólares que um contato pode custar em um dia (UTC); reservados antes de cada chamada de um modelo, então vale com qualquer número de workers; `0`: sem teto',
    }),
    MAX_USD_DIA: told(price().default(0), {
      en: 'US dollars of a tenant in a day (UTC): first the dearer model rests, then a sentence and people answer; `0`: no ceiling',
      pt: 'dólares de um tenant em um dia (UTC): primeiro o modelo mais caro para, depois uma frase e pessoas respondem; `0`: sem teto',
    }),
    MAX_USD_MES: told(price().default(0), {
      en: 'US dollars of a tenant in a month (UTC), likewise; `0`: no ceiling',
      pt: 'dólares de um tenant em um mês (UTC), do mesmo modo; `0`: sem teto',
    }),
    CLAUDE_BREAKER_FAILURES: told(integer(1, 1000).default(3), {
      en: "failures within a minute (and half of its calls) that open the model's breaker",
      pt: 'falhas em um minuto (e metade das chamadas) que abrem o disjuntor do modelo',
    }),
    CLAUDE_BREAKER_RESET_SECONDS: told(integer(1, DAY_SECONDS).default(60), {
      en: 'seconds to its first probe; doubles after each failed one',
      pt: 'segundos até a primeira sondagem dele; dobra a cada uma que falha',
    }),
    CLAUDE_BREAKER_MAX_RESET_SECONDS: told(integer(1, DAY_SECONDS).default(300), {
      en: 'longest wait between its probes, in seconds',
      pt: 'maior espera entre as sondagens dele, em segundos',
    }),
  },
};

export const EMBEDDINGS = {
  title: { en: 'Knowledge by meaning (Voyage)', pt: 'Conhecimento por significado (Voyage)' },
  note: {
    en: 'Only for a company whose documents are too many to be read whole (100,000 characters): passages are found by meaning too, beside the words.',
    pt: 'Só para uma empresa com documentos demais para serem lidos inteiros (100.000 caracteres): os trechos são achados também pelo significado, além das palavras.',
  },
  fields: {
    VOYAGE_API_KEY: told(text().optional(), {
      en: 'key of Voyage AI; without it passages are found by their words',
      pt: 'chave da Voyage AI; sem ela os trechos são achados pelas palavras',
      example: 'change-me-voyage-key',
    }),
    VOYAGE_MODEL: told(text().default('voyage-3.5-lite'), {
      en: 'embedding model, one that gives 512 dimensions as int8; another one makes all vectors anew',
      pt: 'modelo de embeddings, um que dê 512 dimensões em int8; outro refaz todos os vetores',
    }),
    VOYAGE_BASE_URL: told(url('http:', 'https:').default('https://api.voyageai.com/v1'), {
      en: 'address of the service',
      pt: 'endereço do serviço',
    }),
  },
};

export const SPEECH = {
  title: { en: 'Voice notes (speech to text)', pt: 'Notas de voz (fala em texto)' },
  note: {
    en: 'Any service with `POST {STT_BASE_URL}/audio/transcriptions`, as Groq, OpenAI and self-hosted whisper servers have it.',
    pt: 'Qualquer serviço com `POST {STT_BASE_URL}/audio/transcriptions`, como os da Groq, da OpenAI e servidores whisper próprios.',
  },
  fields: {
    STT_BASE_URL: told(url('http:', 'https:').optional(), {
      en: 'address of the speech service; without it voice notes stay unheard, and the agent says so',
      pt: 'endereço do serviço de fala; sem ele as notas de voz não são ouvidas, e o agente diz isso',
      example: 'https://api.groq.com/openai/v1',
    }),
    STT_API_KEY: told(text().optional(), {
      en: 'its key; a server of your own may need none',
      pt: 'a chave dele; um servidor próprio pode não pedir nenhuma',
      example: 'change-me-stt-key',
    }),
    STT_MODEL: told(text().default('whisper-large-v3-turbo'), {
      en: 'its model; OpenAI has `whisper-1` and `gpt-4o-mini-transcribe`',
      pt: 'o modelo dele; a OpenAI tem `whisper-1` e `gpt-4o-mini-transcribe`',
    }),
  },
};

export const TOOLS = {
  title: { en: 'Business tools', pt: 'Ferramentas do negócio' },
  note: {
    en: 'What the agent may look up and do in your own systems ([tools.md](tools.md)). Their secrets are kept with `tool secret`, sealed with `SECRETS_KEY`.',
    pt: 'O que o agente pode consultar e fazer nos seus sistemas ([tools.md](tools.md)). Os segredos ficam em `tool secret`, cifrados com `SECRETS_KEY`.',
  },
  fields: {
    HTTP_ALLOW_PRIVATE: told(hostPorts().optional(), {
      en: 'private addresses that tools may reach all the same, as HOST:PORT with commas; everything else that is private is refused. Leave it empty in production',
      pt: 'endereços privados que as ferramentas podem alcançar mesmo assim, como HOST:PORTA com vírgulas; o resto que é privado é recusado. Deixe vazio em produção',
      example: 'pedidos.internal:8080',
    }),
  },
};

export const AUTONOMOUS = {
  title: { en: 'What the agent may begin by itself', pt: 'O que o agente pode começar sozinho' },
  fields: {
    PILOT_MODE: told(bool().default(false), {
      en: '`true`: nobody who has not written first gets a message, replies are not touched',
      pt: '`true`: quem não escreveu primeiro não recebe mensagem, respostas não mudam',
    }),
    DISCOVERY_AUTOMATICO_ENABLED: told(bool().default(false), {
      en: 'not taken over from the older image, as the three after it: nothing begins by itself, and `true` is a warning. First contacts are campaigns',
      pt: 'não foi trazida da imagem anterior, como as três seguintes: nada começa sozinho, e `true` dá um aviso. Primeiros contatos são campanhas',
    }),
    OFERTA_AUTOMATICA_ENABLED: told(bool().default(false), {
      en: 'not taken over: an offer is a campaign, or a directive for a while (`directive add`)',
      pt: 'não foi trazida: uma oferta é uma campanha, ou uma instrução por um tempo (`directive add`)',
    }),
    REATIVACAO_AUTOMATICA_ENABLED: told(bool().default(false), {
      en: 'not taken over: who went quiet is asked by the ladder of `follow-up set`',
      pt: 'não foi trazida: quem se calou é procurado pela escada de `follow-up set`',
    }),
    FEEDBACK_AUTOMATICO_ENABLED: told(bool().default(false), {
      en: 'not taken over: a request for feedback is a step of `follow-up set --any`, or a campaign',
      pt: 'não foi trazida: um pedido de opinião é um degrau de `follow-up set --any`, ou uma campanha',
    }),
  },
};

export const SLACK = {
  title: { en: 'Slack', pt: 'Slack' },
  fields: {
    SLACK_WEBHOOK_URL: told(url('http:', 'https:').optional(), {
      en: 'incoming webhook: people are told here of alerts, handoffs and reports',
      pt: 'incoming webhook: aqui as pessoas são avisadas de alertas, handoffs e relatórios',
      example: 'https://hooks.slack.example.com/services/change-me',
    }),
    SLACK_CHANNEL: told(text().default('#julia-gestao'), {
      en: 'the channel where the bot tells people',
      pt: 'o canal em que o bot avisa',
    }),
    SLACK_BOT_TOKEN: told(text().optional(), {
      en: 'instead of the webhook, or beside it: the bot also takes commands at `POST /webhook/slack` (see the [runbook](runbook.md)); goes with `SLACK_SIGNING_SECRET`',
      pt: 'em vez do webhook, ou ao lado dele: o bot também recebe comandos em `POST /webhook/slack` (veja o [runbook](runbook.pt-BR.md)); vai com `SLACK_SIGNING_SECRET`',
      example: 'change-me-bot-token',
    }),
    SLACK_SIGNING_SECRET: told(text().optional(), {
      en: 'proves that a request comes from Slack',
      pt: 'prova que um pedido vem do Slack',
      example: 'change-me-signing-secret',
    }),
    SLACK_ALLOWED_USERS: told(slackUsers().default([]), {
      en: 'ids of the members who may give commands; empty: nobody',
      pt: 'ids dos membros que podem dar comandos; vazia: ninguém',
      example: 'U02ABCDEF',
    }),
    SLACK_API_URL: told(url('http:', 'https:').default('https://slack.com/api'), {
      en: 'the Web API of Slack; another address only for tests',
      pt: 'a Web API do Slack; outro endereço só para testes',
    }),
  },
};
