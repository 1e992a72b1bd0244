/** The process, and what it listens on, writes and reports. */
import { bool, environmentName, integer, logLevel, oneOf, originsOrStar, share, text, timeZone, url } from '../variable-types.ts';
import { told } from '../told.ts';

export const PROCESS = {
  title: { en: 'Process', pt: 'Processo' },
  fields: {
    RUN_MODE: told(text().optional(), {
      en: '`api`, `worker`, `scheduler`, or `all`: the three in one process; required, compared exactly',
      pt: '`api`, `worker`, `scheduler`, ou `all`: os três num processo só; obrigatória, comparada exatamente',
      start: 'api',
    }),
    ENVIRONMENT: told(environmentName().optional(), {
      en: '`production`, exactly, turns the allowlist off and the strict checks on; any other name is a test environment',
      pt: '`production`, exatamente, desliga a lista de permitidos e liga as checagens rígidas; qualquer outro nome é um ambiente de teste',
      standard: 'development',
      start: 'development',
    }),
    APP_ENV: told(environmentName().optional(), {
      en: 'the older name of `ENVIRONMENT`: either follows the other, and they may not contradict',
      pt: 'nome antigo de `ENVIRONMENT`: uma segue a outra, e não podem se contradizer',
      example: 'development',
    }),
    APP_NAME: told(text().default('Agente Julia'), {
      en: 'shown by `/health` and `/docs`; as a slug it begins the `service` of log lines',
      pt: 'aparece em `/health` e `/docs`; como slug começa o `service` das linhas de log',
    }),
    APP_BASE_URL: told(url('http:', 'https:').optional(), {
      en: "the api's address as Evolution reaches it; `instance connect` and `health-check.sh` take it when you name none",
      pt: 'endereço da api como a Evolution a alcança; `instance connect` e `health-check.sh` o usam quando você não diz nenhum',
      example: 'https://api.example.com',
    }),
    NOME_EMPRESA: told(text().optional(), {
      en: "the company's name, as the agent says it, unless its words name one (`agent save --company`); not set: the agent names no company, and in production `doctor` asks for it",
      pt: 'o nome da empresa, como o agente o diz, a não ser que as palavras dele citem uma (`agent save --company`); sem ela o agente não cita empresa nenhuma, e em produção o `doctor` pede por ela',
      start: 'Loja Exemplo',
    }),
    DEBUG: told(bool().default(false), {
      en: 'changes nothing in this version; `true` is refused in production',
      pt: 'não muda nada nesta versão; `true` é recusado em produção',
    }),
    TZ: told(timeZone().default('America/Sao_Paulo'), {
      en: 'zone of quiet hours, daily counters and jobs',
      pt: 'fuso do horário de silêncio, dos contadores diários e das tarefas',
    }),
    GIT_SHA: told(text().optional(), {
      en: 'the commit, shown by `/health/deep`; the image sets it when it is built',
      pt: 'o commit, mostrado por `/health/deep`; a imagem a define quando é construída',
      example: '0000000000000000000000000000000000000000',
    }),
    RAILWAY_GIT_COMMIT_SHA: told(text().optional(), {
      en: 'the same as Railway gives it; used when `GIT_SHA` is not set',
      pt: 'o mesmo como o Railway o dá; usada quando `GIT_SHA` não está definida',
      example: '0000000000000000000000000000000000000000',
    }),
    BUILD_TIME: told(text().optional(), {
      en: 'time of the build, shown by `/health/deep`; the image sets it',
      pt: 'hora da construção, mostrada por `/health/deep`; a imagem a define',
      example: '2026-01-01T00:00:00Z',
    }),
    SHUTDOWN_GRACE_MS: told(integer(0, 600_000).default(25_000), {
      en: 'milliseconds that work in progress gets after SIGTERM',
      pt: 'milissegundos que o trabalho em andamento tem depois do SIGTERM',
    }),
  },
};

export const HTTP = {
  title: { en: 'HTTP', pt: 'HTTP' },
  fields: {
    PORT: told(integer(1, 65_535).optional(), {
      en: 'the port of the api, and of `all`; worker and scheduler serve the health routes only when it or `OPS_PORT` is set',
      pt: 'porta da api, e do `all`; worker e scheduler só servem as rotas de saúde quando ela ou `OPS_PORT` está definida',
      standard: '8000',
      start: '8000',
    }),
    OPS_PORT: told(integer(1, 65_535).optional(), {
      en: 'port of worker and scheduler where it must differ from `PORT`',
      pt: 'porta do worker e do scheduler quando precisa ser diferente de `PORT`',
      example: '8001',
    }),
    BIND_HOST: told(text().default('0.0.0.0'), { en: 'address to listen on', pt: 'endereço em que escuta' }),
    CORS_ORIGINS: told(originsOrStar().default([]), {
      en: 'web origins that may call the API from a browser; `*` is refused in production',
      pt: 'origens web que podem chamar a API de um navegador; `*` é recusado em produção',
      example: 'http://localhost:3000',
    }),
    MAX_WEBHOOK_MB: told(integer(1, 512).default(16), {
      en: 'largest webhook body of Evolution, read only after its secret; everything else takes 1 MB',
      pt: 'maior corpo de webhook da Evolution, lido só depois do segredo; todo o resto aceita 1 MB',
    }),
    API_RATE_LIMIT: told(integer(0, 1_000_000).default(600), {
      en: 'requests of one caller in a minute, then 429 with `Retry-After`; `0`: any number',
      pt: 'pedidos de um chamador por minuto, depois 429 com `Retry-After`; `0`: quantos quiser',
    }),
    WEBHOOK_RATE_LIMIT: told(integer(0, 1_000_000).default(0), {
      en: 'webhooks of one source and tenant in 10 s, then 429; `0`: any number, because Evolution keeps what is refused in its memory only',
      pt: 'webhooks de uma origem e tenant em 10 s, depois 429; `0`: quantos quiser, porque a Evolution guarda o que é recusado só na memória',
    }),
    WEBHOOK_REFUSED_RATE_LIMIT: told(integer(0, 1_000_000).default(60), {
      en: 'the same for webhooks without the right secret',
      pt: 'o mesmo para webhooks sem o segredo certo',
    }),
    TRUSTED_PROXY_HOPS: told(integer(0, 10).default(0), {
      en: 'proxies of yours before the api, for those limits; `0`: `X-Forwarded-For` is not read',
      pt: 'proxies seus na frente da api, para esses limites; `0`: `X-Forwarded-For` não é lido',
    }),
    API_DOCS: told(bool().default(true), { en: '`/docs` and `/openapi.json` are served', pt: '`/docs` e `/openapi.json` são servidos' }),
    HEALTH_DETAILS: told(oneOf(['token', 'public']).default('token'), {
      en: 'who reads names of numbers and tenants, volumes and words of alerts below `/health`: `token` (of the tenant `default`) or `public`',
      pt: 'quem lê nomes de números e de tenants, quantidades e textos de alertas abaixo de `/health`: `token` (do tenant `default`) ou `public`',
    }),
    METRICS_TOKEN: told(text().optional(), {
      en: 'who brings it as a bearer reads all of `/metrics`; everybody else reads it without names of numbers and tenants, and without money. At least 16 characters',
      pt: 'quem o traz como bearer lê todo o `/metrics`; todos os outros o leem sem nomes de números e de tenants, e sem dinheiro. Ao menos 16 caracteres',
      example: 'change-me-metrics-token',
    }),
    JWT_SECRET_KEY: told(text().optional(), {
      en: 'signs the tokens of `/api` and `/admin`; at least 32 bytes in production: `openssl rand -hex 32`',
      pt: 'assina os tokens de `/api` e `/admin`; ao menos 32 bytes em produção: `openssl rand -hex 32`',
      start: 'change-me-change-me-change-me-change-me',
    }),
    JWT_SECRET_KEY_PREVIOUS: told(text().optional(), {
      en: 'the key before it, still accepted while tokens signed with it live',
      pt: 'a chave anterior, ainda aceita enquanto vivem tokens assinados com ela',
      example: 'change-me-too-change-me-too-change-me-too',
    }),
    TOKEN_MAX_DAYS: told(integer(1, 3_650).default(90), {
      en: 'a token that would be valid for longer is refused, also when another program signed it',
      pt: 'um token que valeria por mais tempo é recusado, quem quer que o tenha assinado',
    }),
  },
};

export const LOG = {
  title: { en: 'Log', pt: 'Log' },
  fields: {
    LOG_LEVEL: told(logLevel().default('INFO'), {
      en: '`DEBUG`, `INFO`, `WARNING`, `ERROR`, `CRITICAL`',
      pt: '`DEBUG`, `INFO`, `WARNING`, `ERROR`, `CRITICAL`',
    }),
    LOG_PRETTY: told(bool().default(false), {
      en: 'lines for people instead of JSON; not in the image',
      pt: 'linhas para pessoas em vez de JSON; não na imagem',
      start: 'true',
    }),
  },
};

export const TRACES = {
  title: { en: 'Traces', pt: 'Traces' },
  fields: {
    OTEL_EXPORTER_OTLP_ENDPOINT: told(url('http:', 'https:').optional(), {
      en: 'a collector that takes OTLP over HTTP: one trace for each message, over all processes. Not set: no traces',
      pt: 'um coletor que recebe OTLP por HTTP: um trace para cada mensagem, por todos os processos. Sem ela: nenhum trace',
      example: 'http://jaeger:4318',
    }),
    OTEL_EXPORTER_OTLP_HEADERS: told(text().optional(), {
      en: 'headers that the collector wants, `name=value`, several with commas',
      pt: 'cabeçalhos que o coletor pede, `nome=valor`, vários com vírgulas',
      example: 'authorization=Bearer%20change-me',
    }),
    OTEL_TRACES_SAMPLER_ARG: told(share().default(1), {
      en: 'part of all traces that is kept, 0 to 1; all processes choose the same ones',
      pt: 'parte de todos os traces que é guardada, de 0 a 1; todos os processos escolhem os mesmos',
    }),
  },
};
