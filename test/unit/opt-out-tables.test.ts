/** F11: what surely asks for no more messages, as people write it in one breath, and what everybody writes to a shop or a clinic. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asksToStop } from '../../src/inbox/opt-out-words.ts';

const REQUESTS = `
obrigado, pode parar
Obrigada, podem parar
não autorizo mensagens de vocês
Nao autorizo msgs de vcs
não autorizo o envio de mensagens
Não autorizei mensagens no meu whatsapp
não autorizo vocês a me mandar mensagem
não aceito mensagens dessa empresa
não dou autorização para me mandarem mensagem
eu não permito que me enviem propaganda
nao qro mais receber msg, PAREM
já comprei, pode parar
não quero nada, parem
chega, pare
já comprei em outro lugar, podem parar de mandar mensagem
já resolvi então pode parar de mandar mensagem
obrigado mas não quero mais receber mensagens
não tenho interesse pode parar de me mandar mensagem
sem interesse, descadastrar
Não quero mais receber mensagens porque já comprei
vocês podem parar de mandar mensagem?
da pra parar de me mandar mensagem
tem como parar de mandar msg
tem como vcs pararem de me mandar msg
será que dá pra parar de mandar propaganda?
já pedi pra parar de mandar mensagem
ja pedi varias vezes pra pararem de me mandar msg
já falei que não quero receber mensagens de vocês
eu já disse para parar de me mandar propaganda
peço que parem de me enviar mensagens
solicito que não me enviem mais mensagens
exijo que parem de me perturbar
quero parar de receber mensagens
gostaria de parar de receber essas propagandas
como faço pra parar de receber isso
como paro de receber essas mensagens?
quero deixar de receber as promoções
quero que parem de me mandar mensagem
pare de ficar me mandando mensagem
para de ficar mandando propaganda
para de manda msg
chega de me mandar mensagem
PAREM DE ME MANDAR MENSAGEM PELO AMOR DE DEUS
pareeeem de me mandar mensagem!!!
paraaa de me mandar mensagem 😡😡
pare de me mandar mensgaem
pare de me mandar menssagem
não quero mais recber mensagens
nao quero mais receber propagnda
quero me descadstrar
naum quero mais receber mensagem
num quero mais receber msg de vcs
n quero mais msg
n me manda mais msg
não me manda mais mensagem não
não manda mais nada pra mim nunca mais
não mandem mais nada no meu zap
nunca mais me mandem mensagem viu
não me mande mensagens
não me mandem propaganda
não quero propaganda de vocês
não quero mensagens de vocês
não quero mensagem dessa empresa
não quero nenhum contato da empresa
não quero mais contato
não quero mais nenhum contato de vocês
não quero ser contatada
nao quero mais ser incomodado por aqui
não entrem mais em contato comigo
não entre em contato comigo nunca mais
não precisa mais me mandar mensagem
não precisam mais mandar mensagens, obrigado
não precisa mandar propaganda
não tenho interesse nas suas promoções
dispenso propaganda
dispenso as mensagens de vocês
cancelar mensagens
cancela essas mensagens por favor
Cancelem o envio de mensagens
desativar as mensagens
suspendam o envio de propagandas
parem com essas mensagens
me deixa em paz
me deixem em paz por favor
saiam do meu whatsapp
sai do meu zap
me tira daí
me tirem daqui por favor
me exclui da base de vocês
me remova do cadastro de vocês
quero sair da base de vocês
tira meu número daí
retirem meu telefone do cadastro de vocês
apaguem meu numero da sua base
olha, não quero mais receber mensagem, tá?
desculpa, não quero mais receber mensagens
moça por favor não me manda mais mensagem
Boa noite pessoal não quero mais receber msgs ok
não quero que me mandem mensagem
não quero que vocês me mandem mais nada
NÃO QUERO MAIS RECEBER MENSAGENS 🚫
🛑 parem de mandar mensagem 🛑
aff para de encher o saco
valeu, pode parar
blz pode parar
tchau, não me chamem mais
`;

const EVERYDAY = `
não me mande mais boletos
cancelar agendamento
vou sair de férias
para de chover
pode parar na portaria
pode parar aqui em frente
pode parar o carro na vaga 3
pode parar por aqui mesmo, moço
quando vocês param de atender?
vocês param para o almoço?
parei de tomar o remédio
posso parar de tomar o remédio?
quero parar de fumar
quero parar o tratamento
já pedi pra parar o carro
já pedi para parar
preciso parar um pouco
não para de doer
não para de chegar encomenda
o carro parou
parem a entrega de hoje
pare a obra
sair de casa agora
quero sair do plano
quero sair mais cedo
quero sair com vocês
quero sair da dúvida
sair da fila de espera
me tira da fila
me tira dessa enrascada
me tira uma foto do produto
tira o gelo da bebida
tira a cebola por favor
tira meu nome do pedido
remove a taxa de entrega
remover esmalte
apaga essa foto por favor
exclui o segundo item
exclua meu pedido 4521
cancela meu pedido
cancelar a consulta de amanhã
cancela a mensagem anterior, já achei
cancelem a compra
quero cancelar minha assinatura do plano
quero cancelar a notificação de cobrança
suspender minha matrícula
desativar o alarme
como desativo as notificações do aplicativo?
cancelar cadastro no programa de pontos
não quero mais
não quero mais o bolo
não quero mais receber em casa, vou buscar
não quero mais receber aqui, mudei de endereço
não quero mais receber boletos
não quero mais receber massagens nos pés
não quero receber hoje
não quero receber à noite
não recebi mensagem de confirmação
não recebi mais mensagem de vocês
não me mandaram mensagem
vocês não me mandam mais mensagem?
por que vocês não mandam mais mensagem?
não quero mensagem de áudio, prefiro texto
não me mande áudio
não me mande mensagem agora, estou dirigindo
não mande mais mensagem hoje, falo amanhã
não mande mais email, mande por aqui
não quero que parem de mandar mensagem
não quero parar de receber mensagens
não precisa parar de mandar as novidades
nunca pedi pra parar de mandar mensagem
não pedi para parar de mandar mensagens
não tenho interesse em parar de receber as ofertas
não autorizo a cobrança
não autorizo o pagamento
não autorizo essa compra
não autorizei esse débito
não autorizo outra pessoa a retirar
não aceito esse preço
não quero contato com glúten
não quero propaganda no meu carro
meu filho não quer mais receber mensagens
minha mãe pediu pra parar de mandar mensagem
ela disse que não quer mais mensagem
quem pediu pra parar de mandar mensagem?
se eu quiser parar de receber mensagens como faço?
vocês fazem disparo de mensagens?
quanto custa o envio de mensagens?
quero contratar o envio de mensagens
quero mandar mensagens para meus clientes
meus clientes não querem mais receber mensagens
como faço pra mandar mensagem?
me manda a promoção
quero as promoções
manda mais ofertas
chega de papo, quanto custa?
chega amanhã a encomenda?
chega de calor né
basta um
já deu certo
já chega a encomenda?
me deixa na portaria
me deixa pensar
me deixe saber o preço
deixa em paz o pedido, tá certo
obrigado, pode mandar
obrigado, pode enviar
obrigada, pode fechar
obrigado, pode deixar
ok, pode parar na porta
valeu, já chega amanhã?
descarregar o celular
unsubscribe é o que mesmo?
a mensagem parou de chegar
pare de me chamar de senhora
não me chame de senhora
não entre em contato com meu marido
não entrem em contato antes das 9
não entre, o portão está quebrado
não precisa mandar mensagem quando chegar
não precisa mandar nada
não mande nada ainda
sai do meu pedido a taxa?
sai hoje?
saiu do meu limite
tira minhas dúvidas
dispenso o troco
dispenso a embalagem
`;

const lines = (table: string): string[] => table.trim().split('\n');

test('F11 O13 opt-out words: what is asked in one breath, with typos, slang, without accents, in capitals, with emoji', () => {
  assert.ok(lines(REQUESTS).length >= 80);
  assert.deepEqual(
    lines(REQUESTS).filter((text) => !asksToStop(text)),
    [],
  );
});

test('F11 O13 opt-out words: everyday sentences do nothing', () => {
  assert.ok(lines(EVERYDAY).length >= 80);
  assert.deepEqual(
    lines(EVERYDAY).filter((text) => asksToStop(text)),
    [],
  );
});

test('F11 O13 opt-out words: how it is dressed changes nothing', () => {
  for (const text of lines(REQUESTS).slice(0, 60))
    for (const dressed of [
      text.toUpperCase(),
      text.normalize('NFD').replaceAll(/\p{M}/gu, ''),
      `Bom dia! ${text}`,
      `${text} 🙏`,
      `${text}\nobrigada`,
    ])
      assert.equal(asksToStop(dressed), true, dressed);
  for (const text of lines(EVERYDAY))
    for (const dressed of [text.toUpperCase(), `Bom dia, ${text}`, `${text} 🙏`, `${text}, obrigada`])
      assert.equal(asksToStop(dressed), false, dressed);
});

test('F11 O13 opt-out words: bounded, whatever comes', () => {
  for (const text of [
    'não '.repeat(75),
    'pode parar de '.repeat(20),
    'e '.repeat(150),
    ', '.repeat(149),
    'mande mensagens e '.repeat(16),
    'a'.repeat(300),
  ])
    assert.equal(typeof asksToStop(text), 'boolean');
});
