import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zoneOf } from '../../src/words/zone.ts';
import { reportSpan, reportText } from '../../src/watch/report-texts.ts';
import type { ReportKind } from '../../src/watch/report-texts.ts';

test('S4 reports: morning is yesterday, evening today until now, weekly the seven days before, in local days', () => {
  const span = (kind: ReportKind, zone: string, now: string) => {
    const { from, to } = reportSpan(kind, zoneOf(zone), new Date(now));
    return `${from.toISOString().slice(5, 16)} ${to.toISOString().slice(5, 16)}`;
  };
  assert.equal(span('morning', 'America/Sao_Paulo', '2026-11-27T13:00:00Z'), '11-26T03:00 11-27T03:00');
  assert.equal(span('evening', 'America/Sao_Paulo', '2026-11-27T23:00:00Z'), '11-27T03:00 11-27T23:00');
  assert.equal(span('weekly', 'America/Sao_Paulo', '2026-11-30T12:00:00Z'), '11-23T03:00 11-30T03:00');
  // The day on which the clocks were set back has 25 hours, the one on which they were set forward 23.
  assert.equal(span('morning', 'Europe/Berlin', '2026-10-26T09:00:00Z'), '10-24T22:00 10-25T23:00');
  assert.equal(span('morning', 'Europe/Berlin', '2026-03-30T08:00:00Z'), '03-28T23:00 03-29T22:00');
});

test('E7 S4 the report says what happened and what of the SLA is met', () => {
  const figures = {
    received: 120,
    conversations: 40,
    new_contacts: 7,
    answered: 90,
    handed_over: 3,
    failed_turns: 1,
    sent: { reply: 95, campaign: 20 },
    failed: 2,
    reply_seconds_median: 6.4,
    reply_seconds_p95: 200,
    opt_outs: 1,
    tokens: 123_456,
    cost_usd: 1.234,
    unpriced_calls: 0,
    unanswered: 0,
    with_people: 2,
  };
  const sla = [
    { name: 'uptime' as const, target: 0.995, actual: 0.9991, met: true },
    { name: 'errors' as const, target: 0.99, actual: 0.98, met: false },
    { name: 'latency' as const, target: 0.95, actual: null, met: true },
  ];
  assert.deepEqual(reportText('morning', '26/11', figures, sla).split('\n'), [
    '📊 Relatório de ontem (26/11)',
    'Recebidas: 120 mensagens em 40 conversas, 7 contatos novos.',
    'Respondidas: 90 turnos; 3 passados a pessoas; 1 falharam.',
    'Tempo até a resposta: metade em até 6 s, 95 % em até 3 min.',
    'Enviadas: 115 (20 campanha, 95 respostas); 2 falharam.',
    'Pediram para sair: 1.',
    'Modelo: 123456 tokens, US$ 1,23.',
    'Agora: 0 sem resposta, 2 com pessoas.',
    'SLA de 30 dias: ✅ disponibilidade 99,91 % (meta 99,50 %); ❌ respostas e envios sem erro 98,00 % (meta 99,00 %); ✅ respostas geradas em até 5 s sem dados (meta 95,00 %).',
  ]);
});
