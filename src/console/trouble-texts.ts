/** What an error page of the console says. Pure. */

/** `passes`: it ends by itself, so looking again makes sense. */
export function troubleText(status: number): { title: string; text: string; passes: boolean } {
  switch (status) {
    case 401:
      return { title: 'Sua sessão terminou', text: 'Entre de novo para continuar.', passes: false };
    case 403:
      return {
        title: 'Isto não é para o seu acesso',
        text: 'O seu papel não permite isto, ou a página ficou velha. Recarregue a página; se continuar, peça a quem administra.',
        passes: false,
      };
    case 404:
      return { title: 'Não há nada aqui', text: 'O endereço mudou, ou o que estava aqui foi apagado.', passes: false };
    case 429:
      return { title: 'Pedidos demais', text: 'Foram muitos pedidos num minuto só. Espere um pouco.', passes: true };
    case 503:
      return {
        title: 'O banco de dados não responde',
        text: 'Nada se perde: o que os clientes escrevem é guardado e respondido quando ele voltar.',
        passes: true,
      };
    default:
      return { title: 'Algo deu errado', text: 'Não foi você. O log tem os detalhes com o número do pedido abaixo.', passes: false };
  }
}
