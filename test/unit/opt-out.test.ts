import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asksToReturn, asksToStop } from '../../src/inbox/opt-out-words.ts';

const STOPS = `
SAIR
sair
Sair.
sair por favor
Quero sair
Oi, quero sair
PARE
Parem!
parar
PARE de me mandar mensagem
pare de me mandar mensagens
Pare de mandar mensagem, por favor
para de me mandar msg
Por favor, pare de enviar mensagens
parem de me mandar propaganda
parem de encher o saco
Para de me perturbar
pare de me incomodar
chega de propaganda
chega de mensagens!!
Chega de spam
Não quero mais receber mensagens
não quero receber mensagens de vocês
Não desejo receber mais mensagens
não quero mais receber nada
não quero receber mais nada
nao quero mais mensagem
Não quero mais essas mensagens
não gostaria de receber promoções
Eu não quero receber ofertas
Não me mande mais mensagem
não me mandem mais nada
Por favor não me mande mais mensagens
não me envie mais propaganda
não mande mais mensagens pra mim
nao me escreva mais
Não me chame mais
não me incomode mais
nunca mais me mande mensagem
remover meu número
Remover meu numero, por favor
remova meu número da lista
tira meu número da sua lista
Pode tirar meu número dessa lista?
me tira da lista
Me tire dessa lista de transmissão
me remove
Me remova dessa lista
quero que me tirem dessa lista
apague meu contato
exclua meu número
excluir meu contato da base
sair da lista
Quero sair dessa lista
como faço pra sair dessa lista?
descadastrar
Me descadastra por favor
quero me descadastrar
descadastrar meu número
cancelar o recebimento de mensagens
cancelar inscrição nas mensagens
STOP
Stop.
stop please
STOPALL
unsubscribe
Unsubscribe me please
stop texting me
Stop sending me messages
please stop messaging me
remove me from your list
take me off this list
remove my number
don't text me again
Do not contact me anymore
no more messages
I don't want any more messages
opt out
opt-out
BAJA
salir
dame de baja
Quiero darme de baja
no quiero recibir más mensajes
No me escriban más
no me envíen más mensajes
deja de mandarme mensajes
Dejen de enviarme mensajes
quiten mi número
eliminen mi número de la lista
sáquenme de la lista
`
  .trim()
  .split('\n');

const GOES_ON = `
pare na esquina
Pare em frente ao prédio
pode parar na portaria
para de chover que eu vou
não, obrigado
não obrigada
Não quero, obrigado
não tenho interesse
agora não
talvez depois
chega amanhã?
Quando chega?
chega de manhã
já chega
Chega de esperar, quero resolver
que horas vocês param?
O motor parou
para
para mim
para amanhã
Vou sair
vou sair agora
Posso sair mais cedo?
Quando vai sair o resultado?
sair às 8
quero sair às 10
como faço para sair do estacionamento?
Não quero sair
não pare de me mandar mensagem
não parem de mandar as novidades
por que pararam de me mandar mensagem?
quero receber mensagens
não recebi a mensagem
Não recebi nada
não quero receber em casa
não quero receber o produto hoje
não quero mais o produto
não quero mais
não quero mais esse horário
quero cancelar
cancelar meu pedido
cancelar minha consulta
cancelar minha assinatura
cancela a reserva
remover o item do carrinho
remover meu pedido
remover a tatuagem
trocar meu número
mudar meu número de telefone
meu número mudou
tira uma dúvida?
me tira uma dúvida
me tira da dúvida
tira meu nome da reserva
Me tira da lista de espera
me coloca na lista
tem lista de espera?
não me mande mais fotos
Não me chame mais de João
não mande mais que duas caixas
não envie mais o boleto, já paguei
não mande o boleto
não precisa mandar mais nada hoje, já resolvi
mande mais informações
me manda mensagem amanhã
meu marido quer sair da lista
se eu quiser sair da lista como faço?
pare de brincadeira
bonjour
non-stop
stop by tomorrow?
stop the order please
don't stop
don't message me before 9
can you remove the fee?
remove me one item
I want messages
no, gracias
ahora no
quiero salir a las ocho
dar de baja mi línea
no me envíen el pedido mañana
baja el precio?
ok
sim
`
  .trim()
  .split('\n');

test('O13 opt-out words: what surely asks for no more messages', () => {
  assert.ok(STOPS.length >= 60);
  for (const text of STOPS) assert.equal(asksToStop(text), true, text);
});

test('O13 opt-out words: a refusal, a question, everyday words are none', () => {
  assert.ok(GOES_ON.length >= 60);
  for (const text of GOES_ON) assert.equal(asksToStop(text), false, text);
});

test('O13 opt-out words: case, accents, emoji and line breaks do not matter; a story is left to the agent', () => {
  for (const text of ['  SaIr  ', 'SAIR 😡', '*SAIR*', 'sair\n', 'Bom dia\nPare de me mandar mensagem 🙏', 'NAO ME MANDE MAIS MENSAGEM!!!'])
    assert.equal(asksToStop(text), true, text);
  assert.equal(asksToStop(`${'Comprei com vocês no ano passado e foi ótimo. '.repeat(8)}Pare de me mandar mensagem.`), false);
  assert.equal(asksToStop(''), false);
  assert.equal(asksToStop('?!'), false);
});

test('O13 resubscribe words', () => {
  for (const text of [
    'VOLTAR',
    'voltar',
    'Quero voltar a receber',
    'voltar a receber mensagens',
    'quero receber de novo',
    'Pode me mandar mensagens de novo',
    'START',
    'reativar',
    'volver',
    'quiero recibir mensajes de nuevo',
  ])
    assert.equal(asksToReturn(text), true, text);
  for (const text of [
    'vou voltar amanhã',
    'posso voltar?',
    'quando voltam?',
    'quero receber o pedido',
    'oi',
    '',
    'não quero voltar',
    'SAIR',
    'manda de novo o endereço?',
  ])
    assert.equal(asksToReturn(text), false, text);
});
