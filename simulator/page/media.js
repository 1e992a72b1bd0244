// Pictures, voice notes, videos, files, places and cards inside a bubble. Every kind has its size before it loads,
// so that nothing moves when it arrives.
import { el, iconButton, showDialog, svg } from './dom.js';
import { length } from './format.js';

/** The media part of a message, or null for plain text. */
export function mediaNode(message) {
  const media = message.media ?? null;
  const kind = media?.kind ?? message.kind;
  switch (kind) {
    case 'image':
      return picture(media, 'Foto');
    case 'sticker':
      return media?.url ? el('img', { class: 'sticker', src: media.url, alt: 'Figurinha', width: 128, height: 128 }) : missing('Figurinha');
    case 'video':
      return media?.url
        ? el('video', { class: 'frame', src: media.url, controls: true, preload: 'metadata', playsinline: true })
        : missing('Vídeo');
    case 'audio':
      return voice(message.id, media);
    case 'document':
      return file(media);
    case 'location':
      return el(
        'span',
        { class: 'card' },
        svg('pin'),
        el('span', { class: 'card-text' }, el('b', {}, 'Localização'), el('small', {}, place(message.location))),
      );
    case 'contact':
    case 'vcard':
      return el('span', { class: 'card' }, svg('person'), el('span', { class: 'card-text' }, el('b', {}, 'Contato')));
    default:
      return null;
  }
}

function picture(media, name) {
  if (!media?.url) return missing(name);
  const image = el('img', { src: media.url, alt: name, loading: 'lazy' });
  image.addEventListener('error', () => button.replaceWith(missing(`${name} indisponível`)));
  const button = el(
    'button',
    { type: 'button', class: 'frame', 'aria-label': 'Ampliar foto', testid: 'picture', onclick: () => enlarge(media.url) },
    image,
  );
  return button;
}

function enlarge(url) {
  const dialog = el('dialog', { class: 'lightbox', 'aria-label': 'Foto' });
  dialog.append(
    iconButton('close', 'Fechar', { class: 'lightbox-close', onclick: () => dialog.close() }),
    el('img', { src: url, alt: 'Foto ampliada' }),
  );
  showDialog(dialog);
}

function voice(id, media) {
  if (!media?.url) return missing('Mensagem de voz');
  const audio = new Audio();
  audio.preload = 'none';
  audio.src = media.url;
  const total = () => (Number.isFinite(audio.duration) && audio.duration > 0 ? audio.duration : (media.seconds ?? 0));
  const time = el('span', { class: 'voice-time' }, length(total()));
  const track = el('input', { type: 'range', min: 0, max: 100, step: 0.1, value: 0, 'aria-label': 'Posição no áudio' });
  const button = iconButton('play', 'Ouvir', {
    class: 'voice-play',
    testid: 'voice-play',
    onclick: () => (audio.paused ? play() : audio.pause()),
  });
  const play = () => {
    // One voice note at a time, as on a phone.
    if (playing !== null && playing !== audio) playing.pause();
    playing = audio;
    audio.play().catch(() => (time.textContent = 'não toca'));
  };
  const show = () => {
    const label = audio.paused ? 'Ouvir' : 'Pausar';
    button.replaceChildren(svg(audio.paused ? 'play' : 'pause'));
    button.setAttribute('aria-label', label);
    button.title = label;
  };
  const setTrack = (percent) => {
    track.value = String(percent);
    track.style.setProperty('--done', `${percent}%`);
  };
  audio.addEventListener('play', show);
  audio.addEventListener('pause', show);
  audio.addEventListener('timeupdate', () => {
    setTrack(total() === 0 ? 0 : (audio.currentTime / total()) * 100);
    time.textContent = length(audio.currentTime || total());
  });
  audio.addEventListener('ended', () => {
    setTrack(0);
    time.textContent = length(total());
  });
  track.addEventListener('input', () => {
    setTrack(Number(track.value));
    if (Number.isFinite(audio.duration)) audio.currentTime = (Number(track.value) / 100) * audio.duration;
  });
  return el('span', { class: 'voice', testid: 'voice', data: { id } }, button, el('span', { class: 'voice-track' }, track, time));
}

let playing = null;

function file(media) {
  const name = media?.fileName ?? 'Documento';
  const type = (media?.mimetype ?? '').split('/').pop()?.split(';')[0]?.toUpperCase() ?? '';
  return el(
    media?.url ? 'a' : 'span',
    { class: 'card', href: media?.url, download: media?.url ? name : null, testid: 'document' },
    svg('file'),
    el('span', { class: 'card-text' }, el('b', {}, name), el('small', {}, type)),
  );
}

function missing(name) {
  return el('span', { class: 'card' }, svg('image'), el('span', { class: 'card-text' }, el('b', {}, name), el('small', {}, 'sem arquivo')));
}

function place(location) {
  if (!location) return '';
  const latitude = location.latitude ?? location.lat;
  const longitude = location.longitude ?? location.lng;
  return location.name ?? (latitude === undefined ? '' : `${latitude}, ${longitude}`);
}
