/** Variables of other products' manuals. */
import { bool, integer, text, url } from '../variable-types.ts';
import { told } from '../told.ts';

export const IGNORED = {
  title: { en: 'Accepted and ignored', pt: 'Aceitas e ignoradas' },
  note: {
    en: "Of other products' manuals: their files start here unchanged, and a warning says what became of each.",
    pt: 'De manuais de outros produtos: os arquivos deles sobem aqui sem mudanças, e um aviso diz o que foi feito de cada uma.',
  },
  fields: {
    JULIA_API_URL: told(text().optional(), {
      en: 'ignored; the scheduler runs its jobs itself and does not call the API',
      pt: 'ignorada; o scheduler roda as tarefas ele mesmo e não chama a API',
      example: 'http://julia-api:8000',
    }),
    JWT_SECRET: told(text().optional(), {
      en: 'ignored; it belongs to one tenant and is stored with that tenant',
      pt: 'ignorada; pertence a um tenant e é guardada com ele',
      example: 'change-me-tenant-jwt-secret',
    }),
    WHATSAPP_WEBHOOK_API_KEY: told(text().optional(), {
      en: 'ignored; it belongs to one tenant and is stored with that tenant',
      pt: 'ignorada; pertence a um tenant e é guardada com ele',
      example: 'change-me-tenant-webhook-key',
    }),
    WHATSAPP_WEBHOOK_HMAC_SECRET: told(text().optional(), {
      en: 'ignored; it belongs to one tenant and is stored with that tenant',
      pt: 'ignorada; pertence a um tenant e é guardada com ele',
      example: 'change-me-tenant-hmac-secret',
    }),
    WHATSAPP_WEBHOOK_ENFORCE_SIGNATURE: told(bool().optional(), {
      en: 'ignored; webhooks are always authenticated',
      pt: 'ignorada; webhooks são sempre autenticados',
      example: 'true',
    }),
    WHATSAPP_BROKER_URL: told(url('http:', 'https:').optional(), {
      en: 'ignored; it belongs to one tenant and is stored with that tenant',
      pt: 'ignorada; pertence a um tenant e é guardada com ele',
      example: 'https://broker.example.com',
    }),
    WHATSAPP_BROKER_API_KEY: told(text().optional(), {
      en: 'ignored; it belongs to one tenant and is stored with that tenant',
      pt: 'ignorada; pertence a um tenant e é guardada com ele',
      example: 'change-me-tenant-broker-key',
    }),
    PLATFORM_ADMIN_TOKEN: told(text().optional(), {
      en: 'ignored; administrators come with a JWT signed with JWT_SECRET_KEY',
      pt: 'ignorada; administradores vêm com um JWT assinado com JWT_SECRET_KEY',
      example: 'change-me-admin-token',
    }),
    OUTBOUND_TPS_DEFAULT: told(integer(1, 1000).optional(), {
      en: 'ignored; the pace is set by RATE_LIMIT_INTERVALO_MIN and RATE_LIMIT_INTERVALO_MAX',
      pt: 'ignorada; o ritmo é dado por RATE_LIMIT_INTERVALO_MIN e RATE_LIMIT_INTERVALO_MAX',
      example: '5',
    }),
    OUTBOUND_TPS_BY_INSTANCE: told(text().optional(), {
      en: 'ignored; the pace of a number is stored with its instance',
      pt: 'ignorada; o ritmo de um número é guardado com a instância',
      example: '',
    }),
  },
};
