// Voice notes: from the microphone when there is one, else a tone made here, so that audio works on every machine.

/**
 * Starts the microphone. Resolves to {stop(): Promise<{blob, seconds}>, cancel()}; null when the browser has no
 * microphone or the person does not allow it.
 */
export async function startRecording() {
  if (!navigator.mediaDevices?.getUserMedia || typeof MediaRecorder === 'undefined') return null;
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch {
    return null;
  }
  const type = RECORDING_TYPES.find((item) => MediaRecorder.isTypeSupported(item));
  const recorder = new MediaRecorder(stream, type === undefined ? {} : { mimeType: type });
  const chunks = [];
  const startedAt = performance.now();
  recorder.addEventListener('dataavailable', (event) => chunks.push(event.data));
  recorder.start();
  const release = () => stream.getTracks().forEach((track) => track.stop());
  return {
    stop: () =>
      new Promise((resolve) => {
        recorder.addEventListener('stop', () => {
          release();
          const seconds = Math.max(1, Math.round((performance.now() - startedAt) / 1_000));
          resolve({ blob: new Blob(chunks, { type: recorder.mimeType }), seconds });
        });
        recorder.stop();
      }),
    cancel: () => {
      recorder.stop();
      release();
    },
  };
}

/** A soft three-note WAV (16 bit, mono, 16 kHz): the example voice note. */
export function sampleVoice() {
  const samples = SAMPLE_SECONDS * SAMPLE_RATE;
  const view = new DataView(new ArrayBuffer(44 + samples * 2));
  const ascii = (offset, text) => [...text].forEach((char, place) => view.setUint8(offset + place, char.charCodeAt(0)));
  ascii(0, 'RIFF');
  view.setUint32(4, 36 + samples * 2, true);
  ascii(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, SAMPLE_RATE, true);
  view.setUint32(28, SAMPLE_RATE * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  ascii(36, 'data');
  view.setUint32(40, samples * 2, true);
  for (let place = 0; place < samples; place += 1) {
    const at = place / SAMPLE_RATE;
    const note = NOTES_HZ[Math.floor(at) % NOTES_HZ.length];
    // Each note swells and fades within its second, so that there is no click between them.
    const loudness = Math.sin(Math.PI * (at % 1)) * 0.3;
    view.setInt16(44 + place * 2, Math.sin(2 * Math.PI * note * at) * loudness * 32_767, true);
  }
  return { blob: new Blob([view], { type: 'audio/wav' }), seconds: SAMPLE_SECONDS };
}

/** The bytes of a file as base64, without the data: prefix. */
export function toBase64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener('load', () => resolve(String(reader.result).replace(/^[^,]*,/, '')));
    reader.addEventListener('error', () => reject(new Error('Não foi possível ler o arquivo.', { cause: reader.error })));
    reader.readAsDataURL(blob);
  });
}

// WhatsApp's own first; browsers differ in what they can write.
const RECORDING_TYPES = ['audio/ogg;codecs=opus', 'audio/mp4', 'audio/webm;codecs=opus'];
const SAMPLE_RATE = 16_000;
const SAMPLE_SECONDS = 3;
const NOTES_HZ = [392, 494, 440];
