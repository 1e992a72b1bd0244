/**
 * Every reason that the product writes down, as words for a person. Each sentence follows "because". A test compares this list with what SQL and
 * TypeScript can write.
 */
import { oneLine } from './foreign-text.ts';

/** Stopped by hand: by an admin command, or by a row in julia_status. */
const PAUSES: Readonly<Record<string, string>> = {
  all: 'everything is paused by hand (npm run admin -- resume)',
  tenant: 'this tenant is paused by hand (npm run admin -- resume tenant NAME)',
  instance: 'this number is paused by hand (npm run admin -- resume instance NAME)',
  campaign: 'its campaign is paused by hand (npm run admin -- resume campaign NAME)',
  conversation: 'this conversation is paused by hand (npm run admin -- resume conversation ID)',
};

/** Exported for the test that looks for dead ones. */
export const REASONS: Readonly<Record<string, string>> = {
  // who answers
  human: 'a person has this conversation (npm run admin -- handoff return ID gives it back to the agent)',
  takeover: 'a person is typing in this chat on the phone, and the agent keeps quiet meanwhile',
  manual: 'this conversation is in manual mode: only people answer here',
  observe: 'the agent only looks on here, so nothing leaves but what a person writes (npm run admin -- observe list)',
  paused: 'it was paused by hand while the answer was being written',
  opted_out: 'the contact opted out while the answer was being written',

  // what becomes of an inbound message and its turn
  too_old: 'it was older than MAX_MESSAGE_AGE_MINUTES when its turn came, so it is listed to a person instead',
  answered_by_person: 'a person of the team wrote in the chat after it, before it became known here',
  observed: 'the agent only looked on here when it came: it read and noted, and left the answer to people (npm run admin -- observe list)',
  too_long: 'the message was too long to read, so the contact was asked for a summary',
  whatsapp_machine: "it came from a machine of WhatsApp's own (Meta AI), which is never answered",
  reaction: 'a reaction needs no answer; the agent sees it in the history',
  answered_before_restore: 'it was answered after the backup was made that was restored since (the answer is in the chat on the phone)',
  erased: 'everything about the contact was erased (npm run admin -- erase-contact)',
  phone_moved: 'the phone number that it was for is no longer this person’s: another WhatsApp account has it, or nobody that is known here',
  draft: 'the conversation is in assist mode: an answer is written and waits for a yes (npm run admin -- draft list)',
  draft_edited: 'a person sent their own words instead',
  draft_refused: 'a person decided not to send this draft',
  command: 'it was a command of the manager, and was carried out',
  command_asked: "it was a command in the manager's name, and the word that proves it did not come",
  command_wrong:
    "it was a command in the manager's name that proves nothing: a wrong or late word, an edited message, or one that came too late",
  command_locked: "it was a command in the manager's name, after too many that proved nothing within an hour",
  opt_out_confirmed: 'the contact asked for no more messages, which holds from that moment and was confirmed',
  opted_out_already: 'the contact asked for no more messages again; that was confirmed the first time',
  resubscribe_confirmed: 'the contact asked for messages again, which was confirmed',
  bot_question: 'the contact asked whether it talks with a machine, and this tenant calls a person then (npm run admin -- identity)',
  answer_too_old: 'a pause held this answer for longer than MAX_MESSAGE_AGE_MINUTES, so it is listed to a person instead',
  replies_wait:
    'as many answers wait to leave from its number as the cap lets go soon (MAX_RESPOSTAS_POR_HORA), so the model is asked when there is room',
  answer_withdrawn: 'the contact wrote again while its answer waited for the cap of the number, so it is answered when there is room',
  abuse_loop: 'the other side answers each answer as a machine does, so the agent keeps quiet and a person is told',
  abuse_agent:
    'the other side writes as another agent does, whole sentences for each answer, so the agent keeps quiet and a person is told',
  abuse_repeated: 'the same words came again and again, so the agent keeps quiet and a person is told',
  abuse_flood: 'too many messages came at once, so the agent keeps quiet and a person is told',
  abuse_daily_turns: 'this contact used its turns of 24 hours (MAX_TURNOS_CONTATO_DIA), so a person is told',
  abuse_daily_tokens: 'this contact used its tokens of 24 hours (MAX_TOKENS_CONTATO_DIA), so a person is told',
  spend_contact_day: 'this contact used the money of its day (MAX_USD_CONTATO_DIA), so a person is told',
  spend_day: 'the money of the day is used up (MAX_USD_DIA; npm run admin -- spend), so a person is told',
  spend_month: 'the money of the month is used up (MAX_USD_MES; npm run admin -- spend), so a person is told',
  spend_unpriced: 'nobody knows what its model costs, and there is a ceiling of money (npm run admin -- doctor), so a person is told',

  // what could not be read of a voice note, a picture or a document
  media_too_large: 'the file is larger than what is read (16 MB; a picture 7.5 MB and 8,000 pixels an edge)',
  media_too_long: 'the PDF has more than 100 pages',
  media_many: 'this contact has had 60 files or 300 pages read within 24 hours',
  media_locked: 'the PDF has a password',
  media_broken: 'the file is damaged',
  media_unknown_kind: 'the file is neither a picture nor a PDF',
  media_no_audio: 'the file is no audio that the speech service takes',
  tool_changed: 'the tool was changed or removed while the turn ran, so its call did not leave',
  tool_limit: 'the tool has reached its limit, so its call did not leave',
  tool_failed: 'a call of a tool was refused or never left',
  tool_uncertain: 'a call of a tool may or may not have been carried out: a person must look',
  tool_unreachable: 'the service of the tool is not reachable',
  tool_timeout: 'the service of the tool did not answer in time',
  tool_private: 'the service of the tool has a private address (HTTP_ALLOW_PRIVATE)',
  tool_too_large: 'the service of the tool answered more than 200 kB',
  tool_redirect: 'the service of the tool redirects, which is not followed',
  tool_http_error: 'the service of the tool has an error of its own (5xx)',
  tool_refused: 'the service of the tool refused the call (4xx)',
  tool_not_json: 'the service of the tool answered something that is no JSON',
  tool_no_secret: 'the secret of the tool is missing or cannot be opened (tool secret, SECRETS_KEY)',
  tool_resting: 'the service of the tool failed several times and is left alone for a while',
  tool_worker_lost: 'the process died while it called the service of the tool',
  approval_refused: 'a person said no',
  approval_expired: 'nobody said yes in time',
  media_no_reader: 'nothing is set up that reads it (STT_BASE_URL, ANTHROPIC_API_KEY)',
  media_not_there: 'WhatsApp or Evolution has the file no more',
  media_slow: 'it took longer than the contact should wait',
  being_read: 'another worker was reading the same file and did not come to an end',
  gateway_unreachable: 'Evolution did not give the file',
  speech_unreachable: 'the speech service could not be reached, or had a failure of its own',
  speech_timeout: 'the speech service did not answer in time',
  speech_refused: 'the speech service refused the file',
  speech_key: 'the speech service refused the key, its address or its credit (STT_API_KEY, STT_BASE_URL, STT_MODEL)',
  speech_answer: 'the speech service answered something that is no transcript',

  deleted_by_contact: 'the contact deleted it before it was answered',
  deleted_or_edited: 'the contact deleted or edited it before it was answered, and no new words came',
  declined: 'the model declined these words; the contact was told so, and its next message is answered',
  answer_unfit: 'what the model wrote said what it must not say or cannot know, twice, so none of it was sent and a person is called',
  no_model: 'there is no key for the model (ANTHROPIC_API_KEY), so a person is called',
  no_agent: 'no agent is active for this number, so a person is called',
  turn_failed: 'three attempts to answer failed, so a person is called',
  shutdown: 'the worker was stopped and gave the turn back',
  lease_ran_out: 'the worker that was answering died or hung, so another one takes over',
  address_unlearned: 'an operator took back the hidden address (lid) under which it would have left',
  contact_unmerged: 'a merge of two contacts was taken back while it was being answered',
  contact_merged: 'the contact turned out to be somebody known already, and the two were made one',
  contact_wrote_again: 'the contact wrote again meanwhile, so both are answered together',
  answer_not_wanted: 'the contact wrote again, a person took over, or a pause began while the model was working',
  send_failed: 'a message of the agent could not be sent (npm run admin -- dlq list)',
  send_unproven: 'nobody knows whether a message of the agent left (npm run admin -- dlq list)',

  // what our number sent and we did not write
  no_words: 'nothing in it can be read, so no person typed it',
  program: 'another program sent it with this number (TAKEOVER_FROM_API, when people answer there)',
  greeting: 'the phone answers by itself: these words come at once to whoever writes (greeting or absence message of WhatsApp Business)',
  broadcast: 'the same words went to several people at once',

  // the model
  model_aborted: 'the call of the model was broken off',
  model_timeout: 'the model did not answer in time',
  model_unreachable: 'the model could not be reached',
  model_overloaded: 'the model was overloaded or had a failure of its own',
  model_rate_limited: 'the model refused because of its rate limit',
  model_unauthorized: 'the model refused the key (ANTHROPIC_API_KEY)',
  model_forbidden: 'the key (ANTHROPIC_API_KEY) may not use the model',
  model_billing: 'the account at Anthropic has no money left',
  model_model_gone: 'the provider does not know the configured model (LLM_MODEL)',
  model_refused: 'the model refused the request as invalid',
  model_refusal: 'the model declined to answer these words',
  model_spend_ceiling: 'a ceiling of money had no room for the model',
  model_context_exceeded: 'the conversation was longer than the model can read',
  model_breaker_open: 'the model is not asked at the moment: its circuit breaker is open after repeated failures, or it asked for a pause',
  model_empty_answer: 'the model answered without any words',

  // rules before a send, in their order
  duplicate: 'a message with the same Idempotency-Key was asked for before, and that one is sent',
  wrong_project: 'the database says that it belongs to another project than SUPABASE_PROJECT_REF',
  opt_outs: 'too many of the last people that it was sent to asked for no more messages',
  deliveries: 'too few of the last messages arrived',
  campaign_stopped: 'its campaign was ended by hand (npm run admin -- campaign stop)',
  no_phone: 'no phone number of the contact is known',
  no_name: 'the text has {nome} and the name of the contact is not known',
  type_disabled: 'notices of this type are switched off (npm run admin -- template on TYPE)',
  notice_cap: 'the number has used its order notices of the hour (MAX_AVISOS_POR_HORA)',
  notice_pace: 'order notices of a number leave a few seconds apart',
  allowlist: 'this is no production environment and the phone is not in OUTBOUND_ALLOWLIST',
  reply_proof: 'it claims to be a reply, but no message of the contact is behind it',
  expired: 'its deadline (expires_at) passed before it could leave',
  opt_out: 'the contact asked for no more messages',
  reply_share: 'this conversation used its part of the replies of its number for 60 minutes (a quarter of MAX_RESPOSTAS_POR_HORA)',
  reply_cap_hour: 'the number used its cap of replies for 60 minutes (MAX_RESPOSTAS_POR_HORA)',
  pilot_mode: 'in pilot mode nobody is written to who has not written first (PILOT_MODE)',
  quiet_hours:
    'it is outside the hours, weekdays or working days for messages that nobody asked for (HORARIO_INICIO, HORARIO_FIM, HORARIO_DIAS, HORARIO_FERIADOS)',
  cooling_off: 'the contact refused an offer and is left alone for a time (npm run admin -- contact wait)',
  next_allowed: 'the contact is not to be written to before a time (npm run admin -- contact wait)',
  contact_cap: 'this contact got the most messages that one contact may get in an hour (MAX_POR_CONTATO_HORA)',
  contact_cap_week: 'this contact got the most campaigns and follow-ups that one contact may get in seven days (MAX_POR_CONTATO_SEMANA)',
  campaigns_off: 'campaigns are switched off (npm run admin -- proactive all)',
  safe_mode: 'safe mode is on: only replies and what a person writes leave (npm run admin -- proactive all)',
  campaign_pressure: 'the contact has not answered the last messages, so it gets no further campaign (MAX_SEM_RESPOSTA)',
  campaign_gap: 'the contact got a campaign a short time ago (DIAS_ENTRE_CAMPANHAS)',
  kind_cap:
    'the number used its cap for this kind of message for 60 minutes (MAX_CAMPANHAS_POR_HORA, MAX_FOLLOW_UPS_POR_HORA, MAX_PROSPECCOES_POR_HORA)',
  strangers: 'the number wrote to the most people a day who had never written to it (MAX_DESCONHECIDOS_POR_DIA, less while it warms up)',
  reply_ratio: 'too few of the last campaign messages of this number were answered (MIN_RESPOSTAS_PERCENT, more while it warms up)',
  warming_hour: 'the number is young and may send little in 60 minutes yet; it may send more with each day',
  warming_day: 'the number is young and may send little in 24 hours yet; it may send more with each day',
  cap_hour: 'the number used its cap of proactive messages for 60 minutes (MAX_MSGS_POR_HORA)',
  cap_day: 'the number used its cap of proactive messages for 24 hours (MAX_MSGS_POR_DIA)',
  slow_start: 'the number was away and starts slowly again, for half an hour',
  priority: 'something more urgent of the same number goes first',
  pace: 'proactive messages of a number keep a distance (RATE_LIMIT_INTERVALO_MIN, RATE_LIMIT_INTERVALO_MAX)',
  number_disconnected: 'the number is disconnected from WhatsApp; it leaves when the number is back (npm run admin -- instance qr NAME)',
  number_rate_limited: 'WhatsApp or Evolution asked this number for a slower pace, so it rests from messages that nobody asked for',
  number_restricted: 'WhatsApp restricts this number, so it rests from messages that nobody asked for',
  number_unlicensed: 'Evolution wants its licence to be activated (LICENSE_REQUIRED) before it sends',
  number_unauthorized: 'Evolution refuses the key (EVOLUTION_API_KEY), so nothing that nobody asked for leaves until it is mended',
  number_error_acks: 'WhatsApp refused a message of this number after it had been sent, so it rests from messages that nobody asked for',
  number_undelivered:
    'the number is connected in words, but none of its latest messages were delivered (npm run admin -- instance restart NAME)',
  number_few_deliveries: 'ever fewer messages of this number are delivered, so it rests from messages that nobody asked for',
  number_trust: 'this number had too much trouble lately: its trust is below 40, and comes back by 5 an hour',
  scheduled: 'it is to leave later (send_after)',
  typing: 'the contact is shown "typing" first',
  sending: 'it is being sent at this moment',
  uncertain: 'it may have left, and Evolution is being asked',
  breaker_open: 'the circuit breaker of this number is open after repeated failures of Evolution',

  // after a send
  worker_lost: 'the worker died while sending, so Evolution is asked whether it left',
  echo_of_another: 'the echo that was taken for its own belonged to a message with the same words, so nobody knows whether it left',
  provider_refused: 'WhatsApp reported an error after the send',
  earlier_part_failed: 'an earlier part of the same answer failed',
  contact_wrote: 'the contact wrote again before it left, and the next answer takes that into account',
  follow_up_answered: 'the contact wrote, or one of the team did, so there is nothing to follow up',
  handoff_open: 'a person is called for this conversation, and nothing is followed up meanwhile',
  follow_ups_off: 'follow-ups were switched off, or set anew (npm run admin -- follow-up list)',
  too_many_reminders: 'twenty reminders of this conversation wait already',
  reminder_cancelled: 'a person cancelled this reminder (npm run admin -- reminder list --all)',
  contact_cancelled: 'the contact asked for its reminders to be cancelled',
  answered_meanwhile: 'the answer was there before this sentence about an outage had left',
  address_refused: 'WhatsApp knows nobody under this address, so it goes to the other one of the same person',
  proven_not_sent: 'Evolution showed that it did not leave, so it is sent again',
  retried_by_hand: 'a person put it back into its lane',
  discarded_by_hand: 'a person decided that it shall not be sent',
  operator: 'a person changed it by hand',
  restored: 'a backup was restored, and it may have left after the backup was made',

  // what Evolution answered
  bad_request: 'Evolution refused the request as invalid',
  not_on_whatsapp: 'the phone number is not on WhatsApp',
  unauthorized: 'Evolution, or a proxy before it, refused the key (EVOLUTION_API_KEY)',
  nobodys_number: 'nobody registered this name',
  foreign_uuid: 'another instance of Evolution posts under the name of a number of ours: it was made again, or is a copy',
  secret_of_another: 'it came with a secret that speaks for others',
  only_one_number: 'MULTI_CHIP_ENABLED=false serves EVOLUTION_INSTANCE only',
  forgotten_instance: 'a person has forgotten this name',
  no_instance: 'it does not say of which number it is',
  unknown_message: 'it changes a message that never came; it is applied when that comes within a day',
  too_many_unknown: 'too many names that nobody registered are set aside already',
  forged_resend: 'it is marked as given out again on request, which anybody can forge',
  not_its_author: 'whoever changed or deleted this message is not who wrote it, so nothing was changed',
  unknown_instance: 'Evolution does not know this number (EVOLUTION_INSTANCE)',
  disconnected: 'the number is disconnected from WhatsApp',
  rate_limited: 'Evolution or WhatsApp asked for a slower pace',
  restricted: 'WhatsApp restricted this number',
  unavailable: 'Evolution could not be reached',
  service_unavailable: 'Evolution, or what stands before it, said that it cannot serve now',
  unlicensed: 'Evolution wants its licence to be activated (LICENSE_REQUIRED)',
  provider_error: 'Evolution answered with an error of its own',
  timeout: 'Evolution did not answer in time, so it may have left',
  reset: 'the connection to Evolution broke during the send, so it may have left',
  aborted: 'the send was broken off, so it may have left',
  proxy: 'something between us and Evolution answered with an error, so it may have left',
  connection_closed: 'Evolution says that the number is connected, and its connection is closed (npm run admin -- instance restart NAME)',
};

/** Why what came with a webhook was put aside: of the reading itself, so in words that mean something else above. Exported for the reader (whatsapp/payload.ts). */
export const PUT_ASIDE = {
  group: 'it is of a group, and only people are answered',
  status: 'it is a status (a story), and only chats are answered',
  broadcast: 'it is of a broadcast list',
  newsletter: 'it is of a channel',
  own_number: 'it is of our number to itself',
  machine: "the other side is a machine of WhatsApp's own (Meta AI), which is never answered",
  unknown_chat: 'it names no chat with a person, so nobody can be answered',
  history: 'it is history that came at pairing; what is missing here is found by asking Evolution (reconcile_inbox)',
  protocol: 'it is bookkeeping of WhatsApp, without words',
  album: 'it announces pictures, which come as messages of their own',
  forged_protocol: 'it is a control message that only our own phone may send, so somebody attacks the gateway',
  unproven_author: 'it does not prove who says it; the same news comes once more, with a proof',
  no_id: 'it does not say which message it is about',
  too_many_events:
    'more events are in one webhook than are read of one; what missing messages there are is found by asking Evolution (reconcile_inbox)',
  unknown_status: 'its status is none that the product knows',
  unknown_state: 'the state of the number in it is none that the product knows',
  empty: 'the event holds nothing',
  unknown_event: 'the product does not know an event of this name',
  unreadable: 'it is no event of Evolution',
} as const;

/** Words that follow "because", of what was put aside. */
export function asideBecause(reason: string): string {
  return Object.hasOwn(PUT_ASIDE, reason) ? PUT_ASIDE[reason as keyof typeof PUT_ASIDE] : because(reason); // looked up on this line
}

/** The sentence of a reason; null when it is none of the product's (a tool's or a person's own words). */
export function knownReason(reason: string): string | null {
  if (reason.startsWith('paused_')) return PAUSES[reason.slice('paused_'.length)] ?? null;
  if (reason.startsWith('max_attempts_')) {
    const failure = REASONS[reason.slice('max_attempts_'.length)];
    return failure === undefined ? null : `every attempt failed, the last one because ${failure}`;
  }
  // A person's own words may be the name of what every object has.
  return Object.hasOwn(REASONS, reason) ? (REASONS[reason] ?? null) : null;
}

/** Words that follow "because"; what is not the product's own is quoted, as one line. */
export function because(reason: string | null): string {
  if (reason === null || reason === '') return 'no reason was recorded';
  return knownReason(reason) ?? `"${oneLine(reason, MAX_OWN_WORDS)}"`;
}

/** Of a tool's or a person's own words. UTF-16 units. */
const MAX_OWN_WORDS = 300;

/** What follows of a send that nobody could settle (`unproven`), after why nobody knows. */
export const LOOK_YOURSELF = 'Evolution neither confirmed nor showed it: look into the chat on the phone before you send it again';

const STATES: Readonly<Record<string, string>> = { open: 'connected', close: 'disconnected', refused: 'refused by WhatsApp' };

/** What Evolution calls the state of a number, as words for a person. */
export function stateInWords(state: string): string {
  return STATES[state] ?? state;
}
