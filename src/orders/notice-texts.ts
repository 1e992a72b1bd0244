/** What the product says of an order where a shop has no words of its own, and an invented order to try them with. */
import type { NoticeData, NoticeType } from './notice-words.ts';

export const DEFAULT_TEXTS: Readonly<Record<NoticeType, string>> = {
  order_created: 'Olá, {nome}! A {loja} recebeu o seu pedido {codigo}, no valor de {valor}. Avisamos por aqui a cada passo.',
  order_confirmed: '{nome}, o seu pedido {codigo} foi confirmado e já está sendo preparado.',
  payment_link: '{nome}, falta só o pagamento do seu pedido {codigo}, de {valor}. É por aqui: {link_rastreio}',
  payment_received: '{nome}, recebemos o pagamento de {valor} do seu pedido {codigo}. Obrigado!',
  payment_failed:
    '{nome}, o pagamento do seu pedido {codigo} não foi aprovado: {motivo}. Para tentar de outra forma, é só responder por aqui.',
  payment_refunded: '{nome}, devolvemos {valor} do seu pedido {codigo}. O dia em que o valor aparece depende do seu banco ou cartão.',
  order_shipped: '{nome}, o seu pedido {codigo} está a caminho! Código de rastreio: {rastreio}\nAcompanhe: {link_rastreio}',
  order_delivered: '{nome}, o seu pedido {codigo} foi entregue. Se algo não estiver certo, é só responder por aqui.',
  delivery_failed:
    '{nome}, não foi possível entregar o seu pedido {codigo} em {endereco}: {motivo}. Responda por aqui para combinarmos uma nova tentativa.',
  ready_for_pickup: '{nome}, o seu pedido {codigo} está pronto para retirada em {endereco}. Mostre este código no balcão: {pickup_code}',
  picked_up: '{nome}, o seu pedido {codigo} foi retirado. Obrigado e até a próxima!',
  expired: '{nome}, o prazo do seu pedido {codigo} terminou e ele foi encerrado. Se ainda quiser, é só responder por aqui.',
  cancelled: '{nome}, o seu pedido {codigo} foi cancelado: {motivo}. Ficou alguma dúvida? É só responder por aqui.',
  returned: '{nome}, recebemos de volta os produtos do seu pedido {codigo}. O próximo passo chega por aqui.',
};

/** Names for people, as the console has them. */
export const TYPE_NAMES: Readonly<Record<NoticeType, string>> = {
  order_created: 'Pedido recebido',
  order_confirmed: 'Pedido confirmado',
  payment_link: 'Link de pagamento',
  payment_received: 'Pagamento recebido',
  payment_failed: 'Pagamento recusado',
  payment_refunded: 'Pagamento devolvido',
  order_shipped: 'Pedido enviado',
  order_delivered: 'Pedido entregue',
  delivery_failed: 'Entrega não realizada',
  ready_for_pickup: 'Pronto para retirada',
  picked_up: 'Retirado',
  expired: 'Prazo encerrado',
  cancelled: 'Cancelado',
  returned: 'Devolvido',
};

/** Of an order that does not exist. */
export const SAMPLE: NoticeData = {
  nome: 'Maria',
  codigo: '1001',
  valor: 'R$ 129,90',
  rastreio: 'BR123456789BR',
  link_rastreio: 'https://example.com/pedido/1001',
  pickup_code: '4821',
  endereco: 'Rua das Flores, 10',
  motivo: 'exemplo de motivo',
};

/** Its shop, where nobody has said what the company is called (NOME_EMPRESA). */
export const SAMPLE_SHOP = 'Loja';
