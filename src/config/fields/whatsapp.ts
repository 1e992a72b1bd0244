/** WhatsApp and the limits of what leaves. */
import { isNumberName } from '../../words/number-name.ts';
import { bool, integer, phone, phonesOrStar, text, timeOfDay, url, weekdays } from '../variable-types.ts';
import { told } from '../told.ts';

const DAY_SECONDS = 86_400;

export const WHATSAPP = {
  title: { en: 'WhatsApp (Evolution API)', pt: 'WhatsApp (Evolution API)' },
  fields: {
    EVOLUTION_API_URL: told(url('http:', 'https:').optional(), {
      en: 'address of the Evolution API; goes with `EVOLUTION_API_KEY` and `EVOLUTION_INSTANCE`; all three or none, required in production by api and worker',
      pt: 'endereço da Evolution API; vai com `EVOLUTION_API_KEY` e `EVOLUTION_INSTANCE`; as três ou nenhuma, obrigatórias em produção na api e no worker',
      start: 'http://127.0.0.1:4010',
    }),
    EVOLUTION_API_KEY: told(text().optional(), {
      en: "Evolution's global key, or the instance's own token",
      pt: 'a chave global da Evolution, ou o token próprio da instância',
      start: 'change-me-evolution-key',
    }),
    EVOLUTION_INSTANCE: told(text().refine(isNumberName, 'must be a name without / \\ % ? # ;').optional(), {
      en: 'name of the instance (the number) that is used when no other is named',
      pt: 'nome da instância (o número) usada quando nenhuma outra é dita',
      start: 'julia-dev',
    }),
    EVOLUTION_WEBHOOK_SECRET: told(text().optional(), {
      en: "secret of the webhook: Evolution's `jwt_key`, or a fixed `Authorization: Bearer` header; required in production, at least 16 characters",
      pt: 'segredo do webhook: o `jwt_key` da Evolution, ou um cabeçalho fixo `Authorization: Bearer`; obrigatório em produção, ao menos 16 caracteres',
      start: 'change-me-webhook-secret',
    }),
    EVOLUTION_WEBHOOK_SECRET_PREVIOUS: told(text().optional(), {
      en: 'the secret before it, still accepted while it is being replaced',
      pt: 'o segredo anterior, ainda aceito enquanto é trocado',
      example: 'change-me-old-webhook-secret',
    }),
    EVOLUTION_BREAKER_FAILURES: told(integer(1, 1000).default(5), {
      en: "failures within a minute (and half of its calls) that open a number's circuit breaker",
      pt: 'falhas em um minuto (e metade das chamadas) que abrem o disjuntor de um número',
    }),
    EVOLUTION_BREAKER_RESET_SECONDS: told(integer(1, DAY_SECONDS).default(300), {
      en: "seconds to the first probe of a number's breaker; doubles after each failed one",
      pt: 'segundos até a primeira sondagem do disjuntor de um número; dobra a cada uma que falha',
    }),
    EVOLUTION_BREAKER_MAX_RESET_SECONDS: told(integer(1, DAY_SECONDS).default(1800), {
      en: 'longest wait between its probes, in seconds',
      pt: 'maior espera entre as sondagens dele, em segundos',
    }),
    EVOLUTION_AUTO_RESTART: told(bool().default(true), {
      en: 'a number whose connection is dead although Evolution says that it is connected, or that never ends connecting, is restarted, with growing waits (2 minutes to an hour); `false`: people are told only',
      pt: 'um número cuja conexão está morta embora a Evolution o diga conectado, ou que não termina de conectar, é reiniciado, com esperas que crescem (de 2 minutos a uma hora); `false`: só se avisa',
    }),
    MULTI_CHIP_ENABLED: told(bool().default(true), {
      en: 'a proactive message that names no number leaves from the fittest one that is `--proactive true`; `false`: from `EVOLUTION_INSTANCE`',
      pt: 'uma mensagem que ninguém pediu e que não diz o número sai do mais apto entre os `--proactive true`; `false`: de `EVOLUTION_INSTANCE`',
    }),
    OUTBOUND_ALLOWLIST: told(phonesOrStar().default([]), {
      en: 'outside production only these numbers get messages (comma list); `*` only with an Evolution on this machine',
      pt: 'fora de produção só estes números recebem mensagens (lista com vírgulas); `*` só com uma Evolution nesta máquina',
      start: '*',
    }),
    GESTOR_WHATSAPP: told(phone().optional(), {
      en: 'the manager\'s phone: may stop everything by message to `EVOLUTION_INSTANCE` ("pausar"; "ajuda" lists the words; the others are repeated with a code that comes back), and is told what Slack does not take',
      pt: 'telefone do gestor: pode parar tudo por mensagem para `EVOLUTION_INSTANCE` ("pausar"; "ajuda" lista as palavras; os outros comandos são repetidos com o código que volta), e recebe o que o Slack não aceitar',
      example: '5511900000000',
    }),
    GESTOR_PAUSAR_SEM_CODIGO: told(bool().default(true), {
      en: '`false`: "pausar" by WhatsApp needs its code too',
      pt: '`false`: "pausar" por WhatsApp também precisa do seu código',
    }),
  },
};

export const LIMITS = {
  title: { en: 'Limits', pt: 'Limites' },
  note: {
    en: 'Replies have their own cap and leave at any hour. The other limits are for proactive messages, per number; `instance set` gives a number other ones. A number that is new to WhatsApp should warm up: `npm run admin -- instance set julia-prod --phase warming`.',
    pt: 'Respostas têm limite próprio e saem a qualquer hora. Os outros limites são para mensagens que ninguém pediu, por número; `instance set` dá outros a um número. Um número novo no WhatsApp deve ser aquecido: `npm run admin -- instance set julia-prod --phase warming`.',
  },
  fields: {
    HORARIO_INICIO: told(timeOfDay().default('08:00'), {
      en: 'proactive messages leave from this time of day on (início)',
      pt: 'mensagens que ninguém pediu saem a partir desta hora do dia',
    }),
    HORARIO_FIM: told(timeOfDay().default('20:00'), {
      en: 'and before this one (fim); replies leave at any hour. `00:00` to `23:59` is around the clock, on every day',
      pt: 'e antes desta; respostas saem a qualquer hora. De `00:00` a `23:59` é o dia inteiro, todos os dias',
    }),
    HORARIO_DIAS: told(weekdays().default([1, 2, 3, 4, 5, 6]), {
      en: 'on these weekdays (dias): `seg`, `ter`, `qua`, `qui`, `sex`, `sab`, `dom`; `seg-sab` or `seg,qua,sex`',
      pt: 'nestes dias da semana: `seg`, `ter`, `qua`, `qui`, `sex`, `sab`, `dom`; `seg-sab` ou `seg,qua,sex`',
      standard: 'seg-sab',
    }),
    HORARIO_FERIADOS: told(bool().default(false), {
      en: "`true`: on Brazil's national holidays (feriados) too",
      pt: '`true`: também nos feriados nacionais',
    }),
    MAX_MSGS_POR_HORA: told(integer(0, 100_000).default(20), {
      en: 'proactive messages of a number in any 60 minutes',
      pt: 'mensagens que ninguém pediu, de um número, em quaisquer 60 minutos',
    }),
    MAX_MSGS_POR_DIA: told(integer(0, 1_000_000).default(100), {
      en: 'proactive messages of a number in any 24 hours',
      pt: 'mensagens que ninguém pediu, de um número, em quaisquer 24 horas',
    }),
    MAX_RESPOSTAS_POR_HORA: told(integer(0, 1_000_000).default(2000), {
      en: 'replies (respostas) of a number in any 60 minutes',
      pt: 'respostas de um número em quaisquer 60 minutos',
    }),
    MAX_AVISOS_POR_HORA: told(integer(0, 100_000).default(300), {
      en: 'order notices (avisos) of a number in any 60 minutes; they leave at any hour, and take no place in the caps of proactive messages',
      pt: 'avisos de pedidos de um número em quaisquer 60 minutos; saem a qualquer hora, e não ocupam lugar nos limites das mensagens que ninguém pediu',
    }),
    MAX_CAMPANHAS_POR_HORA: told(integer(0, 100_000).optional(), {
      en: 'campaigns of a number in any 60 minutes; not set: as `MAX_MSGS_POR_HORA`',
      pt: 'campanhas de um número em quaisquer 60 minutos; sem valor: como `MAX_MSGS_POR_HORA`',
      example: '20',
    }),
    MAX_FOLLOW_UPS_POR_HORA: told(integer(0, 100_000).optional(), {
      en: 'follow-ups of a number in any 60 minutes; not set: three quarters of `MAX_MSGS_POR_HORA`',
      pt: 'follow-ups de um número em quaisquer 60 minutos; sem valor: três quartos de `MAX_MSGS_POR_HORA`',
      example: '15',
    }),
    MAX_PROSPECCOES_POR_HORA: told(integer(0, 100_000).optional(), {
      en: 'first messages to new people (kind `prospecting`) of a number in any 60 minutes; not set: half of `MAX_MSGS_POR_HORA`',
      pt: 'primeiras mensagens a pessoas novas (tipo `prospecting`) de um número em quaisquer 60 minutos; sem valor: metade de `MAX_MSGS_POR_HORA`',
      example: '10',
    }),
    MAX_DESCONHECIDOS_POR_DIA: told(integer(0, 1_000_000).optional(), {
      en: 'campaigns and follow-ups of a number in any 24 hours to people who have never written (desconhecidos); not set: no cap of their own, unless the number is young',
      pt: 'campanhas e follow-ups de um número em quaisquer 24 horas para quem nunca escreveu; sem valor: sem limite próprio, a não ser que o número seja novo',
      example: '50',
    }),
    MAX_POR_CONTATO_HORA: told(integer(0, 10_000).default(3), {
      en: 'proactive messages to one contact in any 60 minutes, from all numbers',
      pt: 'mensagens que ninguém pediu para um contato em quaisquer 60 minutos, de todos os números',
    }),
    MAX_POR_CONTATO_SEMANA: told(integer(0, 10_000).default(5), {
      en: 'campaigns and follow-ups to one contact in any 7 days',
      pt: 'campanhas e follow-ups para um contato em quaisquer 7 dias',
    }),
    MAX_SEM_RESPOSTA: told(integer(1, 10_000).default(2), {
      en: 'after so many proactive messages without an answer a contact gets no further campaign',
      pt: 'depois de tantas sem resposta um contato não recebe mais campanhas',
    }),
    DIAS_ENTRE_CAMPANHAS: told(integer(0, 365).default(3), {
      en: 'days between two campaigns to one contact; `0`: none',
      pt: 'dias entre duas campanhas para um contato; `0`: nenhum',
    }),
    MIN_RESPOSTAS_PERCENT: told(integer(0, 100).default(0), {
      en: 'campaigns of a number wait while fewer than so many in a hundred of its last ones were answered; `0`: never. A young number has 10',
      pt: 'campanhas de um número esperam enquanto menos que tantas em cem das últimas foram respondidas; `0`: nunca. Um número novo tem 10',
    }),
    RATE_LIMIT_INTERVALO_MIN: told(integer(0, DAY_SECONDS).default(45), {
      en: 'least seconds between two proactive messages of a number',
      pt: 'mínimo de segundos entre duas mensagens que ninguém pediu, de um número',
    }),
    RATE_LIMIT_INTERVALO_MAX: told(integer(0, DAY_SECONDS).default(180), {
      en: 'most seconds between them; the gap is drawn between the two',
      pt: 'máximo de segundos entre elas; o intervalo é sorteado entre os dois',
    }),
  },
};
