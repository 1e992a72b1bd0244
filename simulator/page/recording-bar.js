// The bar that takes the composer's place while a voice note is recorded.
import { el, iconButton } from './dom.js';
import { length } from './format.js';
import { sampleVoice, startRecording } from './voice.js';

/**
 * Puts the bar into `root` and records. Without a microphone it offers the example voice note instead.
 * `onPresence('recording'|'paused')`; `onDone({blob, seconds} | null)` exactly once.
 */
export async function recordingBar(root, { onPresence, onDone }) {
  let recorder;
  let timer = null;
  let over = false;
  const label = el('span', { class: 'recording-label' }, 'Abrindo o microfone…');
  const time = el('span', { class: 'recording-time', 'aria-live': 'off' }, '0:00');
  const finish = async (send) => {
    if (over) return;
    over = true;
    clearInterval(timer);
    onPresence('paused');
    let voice = null;
    if (send) voice = recorder === null ? sampleVoice() : await recorder.stop();
    else recorder?.cancel();
    bar.remove();
    onDone(voice);
  };
  const submit = iconButton('send', 'Enviar mensagem de voz', {
    class: 'round',
    testid: 'recording-send',
    disabled: true,
    onclick: () => finish(true),
  });
  const bar = el(
    'div',
    {
      class: 'composer-line recording',
      testid: 'recording-bar',
      role: 'group',
      'aria-label': 'Gravação',
      onkeydown: (event) => event.key === 'Escape' && (event.stopPropagation(), finish(false)),
    },
    iconButton('trash', 'Descartar', { testid: 'recording-cancel', onclick: () => finish(false) }),
    el('span', { class: 'recording-dot', 'aria-hidden': 'true' }),
    time,
    label,
    submit,
  );
  root.append(bar);

  recorder = await startRecording();
  if (over) return recorder?.cancel();
  submit.disabled = false;
  submit.focus();
  onPresence('recording');
  if (recorder === null) {
    bar.classList.add('recording-sample');
    label.textContent = 'Sem microfone: mensagem de voz de exemplo';
    time.textContent = length(sampleVoice().seconds);
    return;
  }
  label.textContent = 'Gravando…';
  const start = performance.now();
  timer = setInterval(() => {
    time.textContent = length((performance.now() - start) / 1_000);
  }, 250);
}
