import { z } from 'zod';
import { momentOf, momentWords } from '../../words/dates.ts';
import { foldWords } from '../../words/fold.ts';
import { zoneOf } from '../../words/zone.ts';
import type { Zone } from '../../words/zone.ts';
import { defineWrite } from './tool.ts';
import type { ToolSituation } from './tool.ts';

/** A day in the words that are kept would be wrong on the day they are read. In plain words. */
const RELATIVE_DAY = /\b(?:hoje|amanha|ontem|depois de amanha|(?:semana|mes) que vem)\b/;

export const setReminder = defineWrite({
  name: 'set_reminder',
  description:
    'Marca um lembrete que o cliente pediu: uma mensagem para ele no dia e hora que ele disse. Em `when` vão as palavras do cliente ("terça às 10", "amanhã cedo"), sem calcular a data: o sistema calcula, confirma ou devolve uma pergunta. Depois, confirme ao cliente o dia da semana, a data e a hora que voltaram, ou faça a pergunta.',
  input: z.object({
    when: z.string().trim().min(1).max(120).describe('Quando lembrar, nas palavras do cliente'),
    about: z.string().trim().min(1).max(200).describe('De que lembrar, sem dia nem hora: "levar os documentos"'),
    event: z
      .string()
      .trim()
      .min(1)
      .max(120)
      .optional()
      .describe('Quando é a coisa em si, nas palavras do cliente, se for outro momento que o do lembrete: "quinta às 15h"'),
  }),
  effect({ when, about, event }, { now, timeZone, hours = null }) {
    const zone = zoneOf(timeZone);
    if (RELATIVE_DAY.test(foldWords(about)))
      return refused('Em `about` não vai o dia: ele muda até a mensagem sair. Ponha quando é a coisa em `event`.');
    const due = momentOf(when, now, zone);
    if (due.kind === 'ask') return refused(`Não está claro quando lembrar. Pergunte ao cliente: ${due.question}`);
    const thing = event === undefined ? null : momentOf(event, now, zone);
    if (thing?.kind === 'ask') return refused(`Não está claro quando é. Pergunte ao cliente: ${thing.question}`);
    if (thing !== null && thing.at < due.at)
      return refused(`O lembrete seria depois: ${due.words}, e a coisa é ${thing.words}. Pergunte ao cliente quando lembrar.`);
    const held =
      hours === null || isWithin(due.at, hours, zone)
        ? ''
        : ` Nessa hora não enviamos mensagens (${hours.start} às ${hours.end}): ele sai quando o horário abrir. Diga isso e ofereça outra hora.`;
    return {
      ok: true,
      output: `Lembrete marcado para ${momentWords(due.at, zone)}${thing === null ? '' : `; a coisa é ${thing.words}`}. Diga isso ao cliente.${held}`,
      effect: { type: 'remind', about, words: when, due_at: due.at, event_at: thing?.at ?? null },
    };
  },
});

export const cancelReminders = defineWrite({
  name: 'cancel_reminders',
  description: 'Cancela todos os lembretes deste cliente que ainda não saíram. Use só quando ele pedir. Depois, confirme em uma frase.',
  input: z.object({}),
  effect() {
    return { ok: true, output: 'Os lembretes que ainda não saíram foram cancelados.', effect: { type: 'cancel_reminders' } };
  },
});

function isWithin(at: Date, { start, end, weekdays }: NonNullable<ToolSituation['hours']>, zone: Zone): boolean {
  const wall = new Date(at.getTime() + zone.offset(at.getTime()));
  const time = wall.toISOString().slice(11, 16);
  return time >= start && time < end && weekdays.includes(wall.getUTCDay() || 7);
}

function refused(output: string): { ok: false; output: string; effect: null } {
  return { ok: false, output, effect: null };
}
