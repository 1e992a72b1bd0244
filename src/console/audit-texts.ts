/** What was done, in Portuguese. Pure. */
const ACTIONS: Readonly<Record<string, string>> = {
  pause: 'parou',
  resume: 'retomou',
  'conversation.take': 'assumiu a conversa',
  'conversation.write': 'escreveu na conversa',
  'conversation.mode': 'mudou o modo da conversa',
  'handoff.return': 'devolveu ao agente',
  'draft.approve': 'aprovou um rascunho',
  'draft.discard': 'descartou um rascunho',
  'contact.merge': 'uniu dois contatos',
  'contact.erase': 'apagou um contato',
  'contact.export': 'exportou um contato',
  'contact.wait': 'mandou esperar com um contato',
  'optout.add': 'registrou quem não quer mensagens',
  'optout.remove': 'registrou quem voltou a querer mensagens',
  'user.create': 'deu acesso',
  'user.reset': 'deu uma senha nova',
  'user.disable': 'desligou um usuário',
  'user.password': 'trocou a senha',
  'user.locked': 'fechou a entrada: senhas erradas',
  'console.login': 'entrou no console',
  'token.issue': 'fez um token',
  'token.revoke': 'revogou um token',
  'rate.reset': 'zerou os limites',
  proactive: 'mudou o que pode sair',
  'send.bypass': 'enviou por cima das regras',
  'dlq.retry': 'mandou enviar de novo',
  'dlq.discard': 'tirou da lista do que não saiu',
  'instance.qr': 'pediu um código de conexão',
  'instance.set': 'mudou um número',
  'instance.restart': 'reiniciou um número',
  'instance.logout': 'desconectou um número',
  'job.run': 'rodou uma tarefa',
  'breaker.reset': 'fechou um disjuntor',
};

/** An act without words of its own is told by its name. */
export function actionText(action: string): string {
  return ACTIONS[action] ?? action;
}
