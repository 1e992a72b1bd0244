import assert from 'node:assert/strict';
import { test } from 'node:test';
import { claimsToBeHuman, suspectsBot } from '../../src/inbox/bot-suspicion-words.ts';

const ASKS = `
é um robô?
É um robô?
eh robo?
Você é um robô?
vc é robô
vc eh um bot?
você é um bot ou uma pessoa?
Você é uma pessoa ou um robô?
é uma pessoa ou robô?
você é humano?
Você é uma pessoa de verdade?
você é real?
você é de verdade?
é gente de verdade?
estou falando com um robô?
Tô falando com uma máquina?
to falando com robô ou com gente?
estou falando com uma pessoa?
falo com um robô?
isso é um robô?
isso é automático?
isso é uma resposta automática?
Isso é mensagem automática?
parece um robô
Oi, você é robô?
Desculpa, mas você é uma inteligência artificial?
você é uma IA?
vc é IA ou humano?
você é o ChatGPT?
vocês são... você é uma assistente virtual?
a Julia é um robô... Julia é um robô?
tem alguém de verdade aí?
tem gente de verdade aí?
será que você é um bot?
quem está respondendo é um robô?
Are you a bot?
are you a robot or a human?
are you human?
Are you a real person?
is this a bot?
am I talking to a machine?
¿eres un robot?
Eres una persona real?
estoy hablando con un robot?
es un bot?
hay alguien real ahí?
`
  .trim()
  .split('\n');

const TALKS = `
vocês vendem robô aspirador?
quanto custa o robô?
comprei um robô de cozinha
o robô quebrou
é um robô aspirador?
e aí?
E ai
oi, e aí gente, tudo bem?
é uma máquina de café?
vocês têm máquina de cartão?
a máquina de lavar parou
é para uma pessoa ou duas?
é uma pessoa só
mesa para uma pessoa
quero falar com uma pessoa
quero falar com um humano
me passa para um atendente
posso falar com alguém?
tem alguém aí?
o câmbio é automático?
o carro é automático?
você é de São Paulo?
você é a dona?
isso é verdade?
isso é sério?
o programa é gratuito?
é um programa de pontos?
a ia da empresa é boa
ia comprar ontem
eu ia passar aí
você ia me mandar
não sou um robô
o computador travou
é real o desconto?
quem fala?
quem é?
are you open?
is this real leather?
`
  .trim()
  .split('\n');

test('L10 bot suspicion: who asks whether it talks with a machine', () => {
  for (const text of ASKS) assert.equal(suspectsBot(text), true, text);
});

test('L10 bot suspicion: talk about robots, machines and people is none', () => {
  for (const text of TALKS) assert.equal(suspectsBot(text), false, text);
  assert.equal(suspectsBot(''), false);
});

test('L9 claims to be human: the lie is recognised, the truth is not', () => {
  for (const text of [
    'Sou humana, sim!',
    'Claro que sou uma pessoa 😊',
    'Não sou um robô!',
    'Eu não sou robô, pode confiar.',
    "I'm not a bot",
    'I am a real person',
    'No soy un robot',
  ])
    assert.equal(claimsToBeHuman(text), true, text);
  for (const text of [
    'Sou a Julia, assistente virtual da Clínica Sul. Quer falar com uma pessoa da equipe?',
    'Não sou uma pessoa, sou um software.',
    'Sou um robô, sim.',
    'Posso chamar uma pessoa da equipe.',
    'Somos pessoa jurídica.',
    'I am a virtual assistant',
  ])
    assert.equal(claimsToBeHuman(text), false, text);
});
