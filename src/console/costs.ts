/** Custos e qualidade: answers, handoffs, how long they took, what they cost, by day. */
import { html } from 'hono/html';
import { contextOf } from '../routes/context-of.ts';
import { dayFigures } from '../watch/queue-calls.ts';
import type { Days } from '../watch/queue-calls.ts';
import { show } from './answer.ts';
import type { Markup } from './answer.ts';
import { figure, plot, plotFiles } from './markup.ts';
import { costText } from './conversation-texts.ts';
import type { Page } from './page.ts';

const PATH = '/console/costs';
const DAYS = 31;

export const costsPage: Page = {
  path: PATH,
  name: 'Custos',
  access: 'operator',
  mount(routes, site) {
    routes.page.get(PATH, { summary: 'answers, handoffs, times and costs by day', access: 'operator' }, async (c) => {
      const visitor = c.get('visitor');
      const days = await dayFigures(contextOf(site.process).db, visitor.tenant, site.config.app.timeZone, DAYS);
      return show(c, site.page({ title: 'Custos e qualidade', here: PATH, visitor }, costsMarkup(days)));
    });
  },
};

function costsMarkup(days: Days): Markup {
  const [today] = days;
  const sum = (of: (day: Days[number]) => number): number => days.reduce((total, day) => total + of(day), 0);
  const cost = sum((day) => day.cost_usd);
  const answers = sum((day) => day.answered);
  const most = Math.max(0.000_001, ...days.map((day) => day.cost_usd));
  return html`<h1>Custos e qualidade</h1>
    <dl class="figures">
      ${figure('Hoje', today === undefined ? 'US$ 0' : costText(today.cost_usd))} ${figure('Em 31 dias', costText(cost))}
      ${figure('Por resposta', answers === 0 ? 'sem respostas' : costText(cost / answers))}
      ${figure('Do cache, hoje', today?.cache_share == null ? 'sem leituras' : `${Math.round(today.cache_share * 100)} %`)}
    </dl>
    ${days.length > 1 ? curves(days.toReversed()) : ''}
    <div class="wide" tabindex="0" role="region" aria-label="Dias">
      <table>
        <thead>
          <tr>
            <th>Dia</th>
            <th class="n">Recebidas</th>
            <th class="n">Respostas</th>
            <th class="n">Para pessoas</th>
            <th class="n">Tempo até a resposta</th>
            <th class="n">Custo</th>
            <th><span class="away">Parte do maior dia</span></th>
          </tr>
        </thead>
        <tbody>
          ${days.map(
            (day, at) =>
              html`<tr>
                <td>${at === 0 ? 'hoje' : day.day.split('-').toReversed().join('/')}</td>
                <td class="n">${day.received ?? '–'}</td>
                <td class="n">${day.answered}</td>
                <td class="n">${day.handed_over}</td>
                <td class="n">${day.reply_seconds_median === null ? '–' : `${Math.round(day.reply_seconds_median)} s`}</td>
                <td class="n">${costText(day.cost_usd)}</td>
                <td><meter min="0" max="1" value="${(day.cost_usd / most).toFixed(3)}" aria-label="parte do maior dia"></meter></td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    <p class="quiet">
      O custo é o do modelo, pelo preço do dia de cada chamada. Metade das respostas chegou antes do tempo da tabela, espera e digitação
      incluídas.
    </p>`;
}

/** The oldest day first. */
function curves(days: Days): Markup {
  const dates = days.map(({ day }) => day);
  const of = (value: (day: Days[number]) => number | null) => days.map(value);
  return html`<div class="plots">
      ${plot('Custo do modelo, US$', dates, [{ label: 'Custo', unit: 'US$', bars: true, values: of((day) => day.cost_usd) }])}
      ${plot('Respostas e conversas com pessoas', dates, [
        { label: 'Respostas', unit: '', values: of((day) => day.answered) },
        { label: 'Para pessoas', unit: '', values: of((day) => day.handed_over) },
      ])}
      ${plot('Tempo até a resposta (metade chegou antes)', dates, [{ label: 'Tempo', unit: ' s', values: of((day) => day.reply_seconds_median) }])}
    </div>
    ${plotFiles()}`;
}
