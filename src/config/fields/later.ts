/** Parts that are checked at start and used by nothing yet. */
import { bool, integer, price, text, url } from '../variable-types.ts';
import { told } from '../told.ts';

export const CHATWOOT = {
  title: { en: 'Chatwoot', pt: 'Chatwoot' },
  note: {
    en: 'All four or none. Checked at start, used by nothing yet.',
    pt: 'As quatro ou nenhuma. Checadas no início, ainda usadas por nada.',
  },
  fields: {
    CHATWOOT_URL: told(url('http:', 'https:').optional(), {
      en: 'address of Chatwoot',
      pt: 'endereço do Chatwoot',
      example: 'https://chatwoot.example.com',
    }),
    CHATWOOT_API_KEY: told(text().optional(), {
      en: 'access token of the agent that writes there',
      pt: 'token de acesso do agente que escreve lá',
      example: 'change-me-chatwoot-key',
    }),
    CHATWOOT_ACCOUNT_ID: told(integer(1, 2_147_483_647).optional(), { en: 'number of the account', pt: 'número da conta', example: '1' }),
    CHATWOOT_INBOX_ID: told(integer(1, 2_147_483_647).optional(), {
      en: 'number of the inbox',
      pt: 'número da caixa de entrada',
      example: '1',
    }),
  },
};

export const GOOGLE = {
  title: { en: 'Google Docs', pt: 'Google Docs' },
  note: {
    en: 'Briefings and texts of notices, read from two folders that are shared with the service account: [briefings.md](briefings.md).',
    pt: 'Briefings e textos de avisos, lidos de duas pastas compartilhadas com a conta de serviço: [briefings.md](briefings.md).',
  },
  fields: {
    GOOGLE_APPLICATION_CREDENTIALS: told(text().optional(), {
      en: "file with the service account's JSON key; must exist when a folder is set",
      pt: 'arquivo com a chave JSON da conta de serviço; precisa existir quando uma pasta está definida',
      example: '/app/credentials/google-sa.json',
    }),
    GOOGLE_CREDENTIALS_JSON: told(text().optional(), {
      en: 'the key itself instead of a file',
      pt: 'a própria chave no lugar de um arquivo',
      example: 'change-me-google-key',
    }),
    GOOGLE_BRIEFINGS_FOLDER_ID: told(text().optional(), {
      en: 'folder of the briefings: read every hour, what is new is proposed',
      pt: 'pasta dos briefings: lida a cada hora, o que é novo é proposto',
      example: 'change-me-briefings-folder',
    }),
    GOOGLE_TEMPLATES_FOLDER_ID: told(text().optional(), {
      en: 'folder of the texts of order notices: read at 06:00',
      pt: 'pasta dos textos de avisos de pedido: lida às 06:00',
      example: 'change-me-templates-folder',
    }),
    GOOGLE_BASE_URL: told(url('http:', 'https:').optional(), {
      en: 'another address than that of Google, for tests',
      pt: 'outro endereço que o do Google, para testes',
      example: 'http://127.0.0.1:4010/google',
    }),
  },
};

export const META = {
  title: { en: 'WhatsApp Cloud API of Meta', pt: 'WhatsApp Cloud API da Meta' },
  note: {
    en: 'The first five together or none. Checked at start, used by nothing yet.',
    pt: 'As cinco primeiras juntas ou nenhuma. Checadas no início, ainda usadas por nada.',
  },
  fields: {
    META_ACCESS_TOKEN: told(text().optional(), {
      en: 'token of the system user',
      pt: 'token do usuário de sistema',
      example: 'change-me-meta-token',
    }),
    META_PHONE_NUMBER_ID: told(text().optional(), {
      en: 'id of the phone number at Meta',
      pt: 'id do número de telefone na Meta',
      example: '100000000000001',
    }),
    META_WABA_ID: told(text().optional(), {
      en: 'id of the WhatsApp Business account',
      pt: 'id da conta do WhatsApp Business',
      example: '100000000000002',
    }),
    META_APP_SECRET: told(text().optional(), {
      en: 'secret of the app; proves that a webhook comes from Meta',
      pt: 'segredo do app; prova que um webhook vem da Meta',
      example: 'change-me-app-secret',
    }),
    META_WEBHOOK_VERIFY_TOKEN: told(text().optional(), {
      en: 'the word that Meta repeats when the webhook is registered',
      pt: 'a palavra que a Meta repete quando o webhook é cadastrado',
      example: 'change-me-verify-token',
    }),
    META_GRAPH_API_VERSION: told(
      text()
        .regex(/^v\d{1,3}\.\d{1,2}$/, 'must be a version such as v23.0')
        .default('v23.0'),
      { en: 'version of the Graph API', pt: 'versão da Graph API' },
    ),
    META_MM_LITE_ENABLED: told(bool().default(false), {
      en: 'marketing templates through Marketing Messages Lite',
      pt: 'modelos de marketing pelo Marketing Messages Lite',
    }),
    META_PRICING_MARKETING_USD: told(price().default(0.0625), {
      en: 'price of a marketing template in US dollars',
      pt: 'preço de um modelo de marketing em dólares',
    }),
    META_PRICING_UTILITY_USD: told(price().default(0.035), {
      en: 'price of a utility template in US dollars',
      pt: 'preço de um modelo de utilidade em dólares',
    }),
  },
};
