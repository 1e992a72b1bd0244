-- The data model. Every table carries tenant_id; row level security is on everywhere and nothing is granted to anon or
-- authenticated, so the only way in are the service role (Supabase's API), the runtime (a role that the product's login
-- is a member of; both may what the last file says) and the owner of the database, who migrates it.
-- One set of migrations serves Supabase, a plain Postgres 15+ and the embedded one: roles that Supabase has are made
-- when missing.


do $$
declare r text;
begin
  foreach r in array array['anon', 'authenticated', 'service_role', 'whats_agents_runtime'] loop
    if not exists (select 1 from pg_roles where rolname = r) then
      execute format('create role %I nologin noinherit', r);
      -- as at Supabase; only a superuser may give this away, and only PostgREST in front of this database would need it
      if r = 'service_role' and (select rolsuper from pg_roles where rolname = current_user) then
        execute 'alter role service_role bypassrls';
      end if;
    end if;
  end loop;
exception
  when duplicate_object or unique_violation then
    null; -- roles belong to the whole server: another database was migrated at the same moment
  when insufficient_privilege then
    raise exception using errcode = 'insufficient_privilege',
      message = 'this role may not make roles. As one who may, once for this server: ' || (
      select string_agg(format('create role %I nologin noinherit;', n), ' ')
        from unnest(array['anon', 'authenticated', 'service_role', 'whats_agents_runtime']) n
      where not exists (select from pg_roles where rolname = n));
end $$;

create table tenants (
  id          text primary key check (id ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
  -- what manuals of operators call the id
  slug        text not null unique generated always as (id) stored,
  name        text not null,
  -- what may leave that nobody asked for: everything, all but campaigns, or only what a person writes (safe mode)
  proactive   text not null default 'all' check (proactive in ('all', 'no_campaigns', 'none')),
  settings    jsonb not null default '{}',
  knowledge_revision  int not null default 0,   -- goes up with each change of what it knows
  created_at  timestamptz not null default now()
);

insert into tenants (id, name) values ('default', 'default');

-- An agent's words and models, a row a version. A version never changes (keep_versions); a change is a new one, which
-- gets the next number by itself. At most one version of a slug is active: it is the one in force, from the next claim
-- on, and one that becomes active takes the place of the one before.
create table agents (
  id             bigint generated always as identity primary key,
  tenant_id      text not null default 'default' references tenants (id),
  slug           text not null default 'default',
  version        int not null,
  active         boolean not null default true,
  name           text not null,
  company        text,          -- null: NOME_EMPRESA
  tone           text not null,
  instructions   text not null,
  promises       text not null,
  language       text not null default 'pt-BR' check (language in ('pt-BR', 'es', 'en')),
  -- {name: its own words} for what the runtime says; the rest as src/words/sentences.ts has it
  sentences      jsonb not null default '{}' check (jsonb_typeof(sentences) = 'object'),
  model          text,          -- null: LLM_MODEL
  model_complex  text,          -- null: LLM_MODEL_COMPLEX
  tools          text[] not null default array['handoff_to_human', 'opt_out', 'remember', 'react', 'set_reminder',
    'cancel_reminders'],
  -- {start, end, weekdays: [1 Monday .. 7], holidays: true to send then} for what nobody asked for; what is left out:
  -- as HORARIO_* say
  hours          jsonb check (jsonb_typeof(hours) = 'object'
    and coalesce(hours ->> 'start', '00:00') ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'
    and coalesce(hours ->> 'end', '24:00') ~ '^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$'
      and jsonb_typeof(coalesce(hours -> 'weekdays', '[]')) = 'array'
    and jsonb_typeof(coalesce(hours -> 'holidays', 'true')) = 'boolean'),
  note           text,
  created_by     text not null default current_user,
  created_at     timestamptz not null default now(),
  published_at   timestamptz,   -- since when it is in force, or last was
  replaced       bigint references agents (id),  -- what was in force before it
  unique (tenant_id, slug, version)
);
create unique index agents_one_active on agents (tenant_id, slug) where active;

-- A WhatsApp number at Evolution. Null caps and paces mean: as the environment says.
create table instances (
  id                 bigint generated always as identity primary key,
  tenant_id          text not null default 'default' references tenants (id),
  -- it goes into the path of each call to Evolution, so nothing in it may be read as another path; words/number-name.ts
  -- says the same
  name               text not null unique check (name !~ '[/\\%?#;\x01-\x1f\x7f]' and name !~ '^[.\s]*$'),
  provider_id        text unique,
  phone              text,
  -- its own secret said another phone than this: Evolution is to be asked, see record_connection
  phone_doubted      boolean not null default false,
  agent_id           bigint references agents (id),
  status             text not null default 'unknown' check (status in ('unknown', 'open', 'connecting', 'close',
    'refused')),
  status_reason      int,
  status_at          timestamptz not null default now(),
  phase              text not null default 'established' check (phase in ('warming', 'established')),
  -- a warming number may send more with each day since then: see warming_caps
  phase_since        timestamptz not null default now(),
  down_since         timestamptz,                           -- not connected since then
  reconnected_at     timestamptz,                           -- back after an outage of minutes: it starts slowly
  -- it was connected, and has not been told since that its pairing is gone: what is wrong with it a restart may cure
  paired             boolean not null default false,
  -- it was connected anew, or Evolution came back with it: see signs_of_life
  alive_at           timestamptz,
  answered_at        timestamptz,                           -- a call of it succeeded after others failed
  restarts           int not null default 0,                -- by ourselves, in a row; see claim_restarts
  restarted_at       timestamptz,
  -- a message to itself was sent, to see whether anything is heard; see listen_numbers
  hearing_at         timestamptz,
  hearing_message    bigint,
  deaf_since         timestamptz,                           -- connected in words, and nothing is heard
  cap_hour           int check (cap_hour >= 0),
  cap_day            int check (cap_day >= 0),
  cap_strangers_day  int check (cap_strangers_day >= 0),
  -- sends before that do not count any more in the caps of an hour, by `rate reset hour`
  hour_reset_at      timestamptz,
  day_reset_at       timestamptz,
  reply_cap_hour     int check (reply_cap_hour >= 0),
  pace_min_seconds   numeric check (pace_min_seconds >= 0),
  pace_max_seconds   numeric check (pace_max_seconds >= pace_min_seconds),
  next_proactive_at  timestamptz,
  next_notice_at     timestamptz,                   -- the same for order notices, which have a pace of their own
  reconciled_at      timestamptz,                   -- up to here the provider's messages have been compared with ours
  -- a backup was restored then, and the comparison has not reached that moment yet: the number is paused
  restored_at        timestamptz,
  gateway_version    text,                          -- the release of Evolution, as it tells it
  gateway_version_at timestamptz,
  gateway_fault      text,                          -- what Evolution said instead of its state; null: it answered
  -- a key of its own at Evolution, sealed (src/process/secrets.ts); null: EVOLUTION_API_KEY
  evolution_key      text,
  webhook_secret           text,                    -- the secret of its webhook, sealed; null: EVOLUTION_WEBHOOK_SECRET
  webhook_secret_previous  text,                    -- the one before it
  -- Evolution has it since then; null: perhaps not yet, so what was before it still counts, see speaks_for
  webhook_secret_since     timestamptz,
  -- may be chosen for messages that nobody asked for (MULTI_CHIP_ENABLED)
  proactive          boolean not null default false,
  -- as of trust_at; comes back with time, see trust_now
  trust              numeric not null default 100 check (trust between 0 and 100),
  trust_at           timestamptz not null default now(),
  held_reason        text,                            -- the circuit of the number, see number_trouble; null: closed
  held_since         timestamptz,                     -- kept after a release: the next hold within a day is longer
  held_until         timestamptz,
  held_in_row        int not null default 0,
  -- the process that tries the number with one real message after a probe, see take_trial
  trial_by           text,
  trial_until        timestamptz,                     -- until then nobody else may
  judged_from        timestamptz,                     -- deliveries before this say nothing any more
  -- the first automatic text of its phone, see judge_own; null: none was seen
  greeting_message   bigint,
  greeting_told_at   timestamptz,
  created_at         timestamptz not null default now(),
  updated_at         timestamptz not null default now()
);

create table contacts (
  id           bigint generated always as identity primary key,
  tenant_id    text not null references tenants (id),
  name         text,
  cooling_until    timestamptz,   -- refused an offer: no campaign and no follow-up until then
  next_allowed_at  timestamptz,   -- named a time: nothing that nobody asked for until then
  merged_into  bigint references contacts (id),
  -- nothing of the person is left here; what the person writes next is somebody new's
  erased_at    timestamptz,
  created_at   timestamptz not null default now(),
  updated_at   timestamptz not null default now()
);
create index contacts_merged on contacts (merged_into) where merged_into is not null;
-- names as they are searched: see search_conversations
create index contacts_words on contacts using gin (to_tsvector('simple', translate(lower(left(name, 200)),
  'áàâãäéèêëíìîïóòôõöúùûüçñ', 'aaaaaeeeeiiiiooooouuuucn'))) where name is not null;

-- One person's addresses. A phone number means the same person on each number of a tenant; a lid is only trusted where
-- it was seen.
create table contact_addresses (
  id           bigint generated always as identity primary key,
  tenant_id    text not null references tenants (id),
  instance_id  bigint not null references instances (id),
  contact_id   bigint not null references contacts (id),
  kind         text not null check (kind in ('pn', 'lid')),
  address      text not null check (address ~ '^[0-9]{1,20}$'),
  -- of a phone: the digits under which WhatsApp itself names it; null: nobody has heard (see dial)
  written      text check (written ~ '^[0-9]{5,20}$'),
  -- of a lid: the phone whose account it is, as somebody says who speaks for all numbers; null: nobody such has said so
  vouched_phone text,
  delivered_at timestamptz,                     -- something reached the person here, to the hour
  -- a phone number that came from somebody else: since then it is this one's
  moved_at     timestamptz,
  -- Evolution found nobody under this address then; forgotten after a week and with a delivery
  refused_at   timestamptz,
  created_at   timestamptz not null default now()
);
create unique index contact_addresses_pn on contact_addresses (tenant_id, address) where kind = 'pn';
create unique index contact_addresses_lid on contact_addresses (instance_id, address) where kind = 'lid';
create index contact_addresses_contact on contact_addresses (contact_id);
-- by its last digits, as people know a number
create index contact_addresses_digits on contact_addresses (reverse(address) text_pattern_ops) where kind = 'pn';

-- Phone numbers that an account had before (see move_phone). What was sent from one until then is this contact's, and
-- goes with its erasure; who has it now is somebody else.
create table former_phones (
  id           bigint generated always as identity primary key,
  tenant_id    text not null references tenants (id),
  contact_id   bigint not null references contacts (id),
  address      text not null check (address ~ '^[0-9]{1,20}$'),
  until        timestamptz not null
);
create index former_phones_contact on former_phones (contact_id);

-- What a merge of two contacts moved, and what the one that stayed was before: what unmerge_contact needs. Holds names
-- and memories, so it goes with an erasure.
-- What the agent was asked to remember of a contact. Of one kind and subject one is current, the newest; an older one is
-- kept with the moment at which it was replaced, since prompts of that time have it.
create table contact_facts (
  id           bigint generated always as identity primary key,
  tenant_id    text not null references tenants (id),
  contact_id   bigint not null references contacts (id) on delete cascade,
  kind         text not null check (kind in ('name', 'preference', 'address', 'request', 'other')),
  about        text not null,             -- the subject, in a word or two; empty: there is one of this kind
  fact         text not null,
  message_id   bigint,                    -- of the contact, that it was taken from; it may be gone
  noted_at     timestamptz not null,
  replaced_at  timestamptz
);
create unique index contact_facts_current on contact_facts (contact_id, kind, about) where replaced_at is null;
create index contact_facts_contact on contact_facts (contact_id, noted_at);
create index contact_facts_tenant on contact_facts (tenant_id);

create table contact_merges (
  id          bigint generated always as identity primary key,
  tenant_id   text not null references tenants (id),
  kept        bigint not null references contacts (id),
  merged      bigint not null references contacts (id),
  moved       jsonb not null,
  created_at  timestamptz not null default now(),
  undone_at   timestamptz
);
create index contact_merges_kept on contact_merges (kept, id);
create index contact_merges_merged on contact_merges (merged);
create index contact_merges_tenant on contact_merges (tenant_id);

create table conversations (
  id                 bigint generated always as identity primary key,
  tenant_id          text not null references tenants (id),
  instance_id        bigint not null references instances (id),
  contact_id         bigint not null references contacts (id),
  jid                text not null,                 -- where answers go: the address that the contact wrote from last
  controlled_by      text not null default 'agent' check (controlled_by in ('agent', 'human')),
  escalation_reason  text,
  mode               text not null default 'auto' check (mode in ('auto', 'assist', 'manual', 'observe')),
  -- who has it, when it was taken by name (take_conversation): `console:EMAIL` or `api:SUB`
  taken_by           text,
  taken_at           timestamptz,
  -- a person types on the phone: the agent is quiet until takeover_until
  takeover_since     timestamptz,
  takeover_until     timestamptz,
  last_seq           bigint not null default 0,     -- ordinal of the newest message
  -- rises when there is something new to answer; a turn notes which value it saw
  inbound_seq        bigint not null default 0,
  fence              bigint not null default 0,     -- rises with each claimed turn
  superseded_in_row  int not null default 0,
  failed_in_row      int not null default 0,
  failing_since      timestamptz,                   -- start of the first turn of such a row
  -- the model is unavailable: since then turns here are put off, and what is unanswered waits
  deferred_since     timestamptz,
  deferred_until     timestamptz,                   -- when to look again
  deferred_reason    text,
  apologised_at      timestamptz,                   -- the contact was told of it, once an outage
  -- {id, at} of the model's last answer here, at the provider: it tells why a cache has missed
  previous_answer    jsonb,
  quiet_until        timestamptz,                   -- abuse: nothing is answered until then, for quiet_reason
  quiet_reason       text,
  -- the contact types: what is unanswered waits until then, if nothing has come since typing_seq (see hold_turn)
  typing_until       timestamptz,
  typing_seq         bigint,
  last_inbound_at    timestamptz,
  -- people have not heard what the contact wrote from this seq on, while a person has the conversation
  forward_from       bigint,
  forward_due_at     timestamptz,                   -- when they do, see note_forward
  forwarded_at       timestamptz,
  -- what the agent noted of it while it only looked on (is_observed)
  observed_labels    text[] not null default '{}',
  observed_summary   text,
  observed_at        timestamptz,
  merged_into        bigint references conversations (id),
  created_at         timestamptz not null default now(),
  updated_at         timestamptz not null default now(),
  unique (instance_id, contact_id)
);
create index conversations_contact on conversations (contact_id);
create index conversations_deferred on conversations (deferred_until) where deferred_until is not null;
create index conversations_forward on conversations (forward_due_at) where forward_due_at is not null;
-- nearly nobody: an answer was taken back while it waited for the number's cap, see room_at
create index conversations_withdrawn on conversations (instance_id) where deferred_reason = 'answer_withdrawn';
create index conversations_merged on conversations (merged_into) where merged_into is not null;
-- where not simply the agent answers: few, and looked at often
create index conversations_people on conversations (tenant_id, id)
  where controlled_by = 'human' or mode <> 'auto' or takeover_until is not null or quiet_until is not null;

create table turns (
  id               bigint generated always as identity primary key,
  tenant_id        text not null,
  conversation_id  bigint not null references conversations (id),
  agent_id         bigint,
  status           text not null default 'open' check (status in ('open', 'committed', 'superseded', 'suppressed',
    'skipped', 'handed_over', 'failed', 'expired', 'deferred')),
  reason           text,
  fence            bigint not null,
  lease_until      timestamptz not null,
  worker           text not null,
  inbound_seq      bigint not null,
  model            text,        -- that answered, or was asked last
  route            text check (route in ('plain', 'sentiment', 'objection', 'negotiation', 'long_talk')), -- the rule that chose it
  input_tokens     int not null default 0,
  output_tokens    int not null default 0,
  cache_read_tokens   int not null default 0,
  cache_write_tokens  int not null default 0,
  thinking_tokens     int not null default 0,
  cost_usd         numeric(14, 8) not null default 0, -- of the calls that have a price
  unpriced_calls   int not null default 0,
  verdict          text,        -- of the check of the answer's words: ok, repaired, again:RULES, refused:RULES
  prompt_hash      text,        -- of what every conversation of its agent begins with
  transcript       jsonb,
  correlation_id   text,
  started_at       timestamptz not null default now(),
  ended_at         timestamptz
);
create unique index turns_one_open on turns (conversation_id) where status = 'open';
create index turns_conversation on turns (conversation_id, started_at);
create index turns_transcript on turns (ended_at) where transcript is not null;
-- One day of turns, for what the agent costs; a few bytes, and no write when a turn ends.
create index turns_day on turns using brin (started_at);

create table messages (
  id               bigint generated always as identity primary key,
  tenant_id        text not null,
  instance_id      bigint not null,
  conversation_id  bigint not null references conversations (id),
  seq              bigint not null,
  direction        text not null check (direction in ('in', 'out')),
  -- human: a person typed it with our number; automatic: the phone itself or another program sent it
  author           text not null check (author in ('contact', 'agent', 'human', 'system', 'automatic')),
  type             text not null default 'text',
  status           text not null,
  reason           text,                            -- why it was skipped, blocked, failed, cancelled, held
  text             text not null,                   -- what the model sees and what is sent
  typed            text,                            -- what the contact typed, in full
  -- what its words were recognised as, before any model read them (see record_message)
  meaning          jsonb,
  media            jsonb,
  provider_id      text,                            -- key.id at WhatsApp
  -- out: the id that we ask for, from the first claim on and for every attempt; a release that honours it makes it
  -- provider_id
  wire_id          text,
  provider_at      timestamptz not null,            -- messageTimestamp; for our own the time of the send
  quoted_id        text,
  quoted_text      text,
  edited_at        timestamptz,
  deleted_at       timestamptz,
  original_text    text,                            -- before the first edit
  -- in: {text, typed} as a turn has read it, when that was changed or deleted since
  seen             jsonb,
  wordless         boolean not null default false,  -- it came without its words, which may still come under its id
  turn_id          bigint,    -- in: the turn that took it; out: the turn that wrote it
  -- models that have declined a conversation with these words: they are not shown them again
  refused_by       text[],
  correlation_id   text,
  created_at       timestamptz not null default now(),
  -- outbound only
  kind             text check (kind in ('reply', 'handoff', 'follow_up', 'notification', 'campaign', 'prospecting',
    'manual', 'operator', 'transactional')),
  priority         smallint,
  part             smallint,
  typing_ms        int not null default 0,          -- how long to show "typing" before it leaves
  typing_until     timestamptz,
  due_at           timestamptz,
  goes_at          timestamptz,                     -- the promise made to whoever asks why it is held
  expires_at       timestamptz,
  attempts         int not null default 0,
  claim            bigint not null default 0,       -- fence of the send: rises with each claim
  lease_until      timestamptz,
  claimed_at       timestamptz,
  sent_to          text,                            -- the address of the last attempt
  -- the phone that it was ordered for (see send_jid); null: it goes where its contact wrote from last
  addressee        text,
  -- takes a place in the caps; the latest moment at which it can have been on the wire
  slot_at          timestamptz,
  looks            int not null default 0,          -- times an uncertain send was looked up
  delivered_at     timestamptz,
  read_at          timestamptz,
  error_class      text,
  -- a campaign or follow-up to somebody who had never written, when its slot was taken
  first_contact    boolean not null default false,
  -- a person's reason to send it over the rules for what nobody asked for; who, is in audit_log
  bypass           text check (btrim(bypass) <> ''),
  -- a person wrote it here, and not on the phone: `console:EMAIL` or `api:SUB`
  written_by       text,
  campaign_id      text,
  idempotency_key  text,
  duplicate_of     bigint references messages (id) on delete set null,   -- a repeat of that one, found by its key
  constraint messages_state check (
    case direction
      when 'in' then status in ('received', 'answered', 'skipped', 'handed_over')
      else status in ('draft', 'queued', 'sending', 'sent', 'delivered', 'read', 'failed', 'blocked', 'deduped',
        'expired', 'cancelled', 'uncertain', 'unproven')
    end),
  constraint messages_out_kind check ((direction = 'out' and author not in ('human', 'automatic')) = (kind is not null))
) with (fillfactor = 75);  -- room for what becomes of a message: its versions stay on its page
-- an id is unique in its chat only
create unique index messages_provider on messages (instance_id, provider_id, conversation_id)
  where provider_id is not null;
create unique index messages_wire on messages (instance_id, wire_id) where wire_id is not null and provider_id is null;
-- keys of what is said to those who run this are the product's own: whoever calls the API cannot take them
create unique index messages_idempotency on messages (tenant_id, (kind = 'operator'), idempotency_key)
  where idempotency_key is not null;
create unique index messages_seq on messages (conversation_id, seq);
-- the newest of a tenant: the lists of a small one must not read what the others have
create index messages_tenant on messages (tenant_id, id);
create index messages_duplicates on messages (duplicate_of) where duplicate_of is not null;
create index messages_proactive on messages (tenant_id, id) where kind not in ('reply', 'handoff');
create index messages_turn on messages (turn_id) where turn_id is not null;
create index messages_commands on messages (created_at) where meaning ? 'command';
create index messages_own_words on messages (instance_id, (meaning ->> 'own_words'))
  where kind is null and meaning ? 'own_words';
create index messages_day on messages using brin (created_at);

-- What was said in a conversation before the window that the model reads: each covers all messages until through_seq.
create table summaries (
  id               bigint generated always as identity primary key,
  tenant_id        text not null references tenants (id),
  conversation_id  bigint not null references conversations (id) on delete cascade,
  through_seq      bigint not null,
  words            text,             -- null: not made yet
  model            text,
  attempts         int not null default 0,
  lease_until      timestamptz,      -- somebody makes it until then
  created_at       timestamptz not null,
  made_at          timestamptz,
  unique (conversation_id, through_seq)
);
create index summaries_tenant on summaries (tenant_id);

-- What a file of a contact says, by the hash of its bytes: the same file is paid for once, whoever sends it again.
create table media (
  id           bigint generated always as identity primary key,
  tenant_id    text not null references tenants (id),
  sha256       text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  kind         text not null check (kind in ('audio', 'image', 'document')),
  bytes        int not null,
  words        text,             -- null: not read yet; empty: nothing is said in it
  reader       text,             -- the model that has read it
  calls        int not null default 0,      -- so often it was given to be read, and paid; of a model: see model_calls
  seconds      numeric not null default 0,  -- of audio, in all of these
  lease_until  timestamptz,      -- somebody reads it until then
  created_at   timestamptz not null default now(),
  read_at      timestamptz,
  unique (tenant_id, sha256)
);
create index media_age on media using brin (created_at);
create index messages_media on messages (tenant_id, (media ->> 'sha256')) where media ? 'sha256';
create index messages_files on messages (conversation_id, created_at) where media ? 'sha256';

-- Messages whose media could not be read yet: once more at next_at, then never (next_at null), see fail_media.
create table media_waits (
  message_id       bigint primary key references messages (id) on delete cascade,
  tenant_id        text not null references tenants (id),
  conversation_id  bigint not null,
  attempts         int not null,
  reason           text not null,
  next_at          timestamptz,
  updated_at       timestamptz not null default now()
);
create index media_waits_due on media_waits (next_at) where next_at is not null;
create index media_waits_conversation on media_waits (conversation_id);

-- What a company knows: a row a document, by its name.
create table knowledge (
  id          bigint generated always as identity primary key,
  tenant_id   text not null references tenants (id),
  name        text not null check (name <> '' and length(name) <= 200),
  kind        text not null check (kind in ('md', 'txt', 'pdf', 'docx', 'csv')),
  sha256      text not null check (sha256 ~ '^[0-9a-f]{64}$'),   -- of the file
  bytes       int not null,
  pages       int,
  chars       int not null,                                      -- of the text of its passages
  added_by    text not null,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  unique (tenant_id, name)
);

-- Its passages: what is found, shown and cited as one.
create table knowledge_chunks (
  id            bigint generated always as identity primary key,
  tenant_id     text not null references tenants (id),
  knowledge_id  bigint not null references knowledge (id) on delete cascade,
  position      int not null,
  heading       text not null,        -- the headings above it, outermost first
  text          text not null,
  sha256        text not null,        -- of heading and text
  words         text[] not null,      -- plain, each once: for a word that is nearly one of them
  search        tsvector not null,    -- of plain words; those of the heading have the weight A
  unique (knowledge_id, position)
);
create index knowledge_chunks_tenant on knowledge_chunks (tenant_id);
create index knowledge_chunks_search on knowledge_chunks using gin (search);

-- What passages mean, as a model of Voyage tells it: one vector for each text, whatever documents it stands in.
create table embeddings (
  tenant_id   text not null references tenants (id),
  model       text not null,
  sha256      text not null,        -- of heading and text
  vector      bytea not null,       -- bytes with a sign
  created_at  timestamptz not null default now(),
  primary key (tenant_id, model, sha256)
);

-- What is under way, beside the history: narrow rows that change in place or go, so that what lanes, turns and caps ask
-- costs the same whatever is stored. `messages` stays the truth of each status; triggers on it (keep_inbox, keep_sends)
-- write these rows in the transaction of the change, and nothing else does. No foreign keys: the message has them.

-- status received: what waits for a turn.
create table inbox (
  tenant_id        text not null,
  conversation_id  bigint not null,
  seq              bigint not null,
  message_id       bigint not null,
  created_at       timestamptz not null,
  command          boolean not null default false,  -- the manager's
  primary key (conversation_id, seq)
) with (fillfactor = 70);

-- status draft: waits for a person's yes.
create table drafts (
  message_id       bigint primary key,
  tenant_id        text not null,
  conversation_id  bigint not null,
  turn_id          bigint
) with (fillfactor = 90);
create index drafts_conversation on drafts (conversation_id);

-- status queued: the lanes.
create table outbox (
  message_id       bigint primary key,
  tenant_id        text not null,
  conversation_id  bigint not null,
  instance_id      bigint not null,
  priority         smallint,
  kind             text not null,
  due_at           timestamptz,
  -- due_at of what others of the number yield to (priorities 1 to 3); null: nobody does, so its row changes in place
  urgent_at        timestamptz,
  reason           text,
  expires_at       timestamptz,
  campaign_id      text
) with (fillfactor = 70);
create index outbox_lane on outbox (conversation_id, priority, message_id);
create index outbox_replies on outbox (instance_id) where kind in ('reply', 'handoff');
create index outbox_waiting on outbox (instance_id, priority, urgent_at) where kind not in ('reply', 'handoff');
create index outbox_campaign on outbox (tenant_id, campaign_id) where campaign_id is not null;

-- status sending or uncertain: it has left, or may have; counts in the caps as of now.
create table on_wire (
  message_id       bigint primary key,
  tenant_id        text not null,
  conversation_id  bigint not null,
  instance_id      bigint not null,
  kind             text not null,
  status           text not null,
  lease_until      timestamptz,
  due_at           timestamptz,
  claimed_at       timestamptz,
  slot_at          timestamptz,
  first_contact    boolean not null,
  campaign_id      text
) with (fillfactor = 60);
create index on_wire_conversation on on_wire (conversation_id);
create index on_wire_instance on on_wire (instance_id);

-- status failed or unproven: waits for a person, until one decides or its time is over.
create table dead_sends (
  message_id       bigint primary key,
  tenant_id        text not null,
  conversation_id  bigint not null,
  instance_id      bigint not null,
  status           text not null,
  error_class      text,
  created_at       timestamptz not null
) with (fillfactor = 90);
create index dead_sends_newest on dead_sends (tenant_id, message_id);
create index dead_sends_conversation on dead_sends (conversation_id);
create index dead_sends_instance on dead_sends (instance_id, created_at);

-- Places in the caps that are taken for good: a message with slot_at that is not on the wire (any more). Those of
-- replies go after some days (purge_old), the others with their message.
create table slots (
  tenant_id        text not null,
  instance_id      bigint not null,
  reply            boolean not null,                -- not is_proactive(kind)
  slot_at          timestamptz not null,
  message_id       bigint not null,
  conversation_id  bigint not null,
  kind             text not null,
  first_contact    boolean not null,
  primary key (instance_id, reply, slot_at, message_id)
) with (fillfactor = 90);
create index slots_contact on slots (conversation_id, slot_at);

-- How many slots each minute has: the sum over its rows. A connection of the database adds to rows of its own
-- (`backend`), so that two transactions never wait for each other here; so one row alone may say less than zero.
create table slot_minutes (
  tenant_id        text not null,
  instance_id      bigint not null,
  reply            boolean not null,
  minute           timestamptz not null,
  kind             text not null,
  first_contact    boolean not null,
  backend          int not null,
  n                int not null,
  primary key (instance_id, reply, minute, kind, first_contact, backend)
) with (fillfactor = 50);

-- The same by the hour, of what nobody asked for: its caps look back a day.
create table slot_hours (
  tenant_id        text not null,
  instance_id      bigint not null,
  hour             timestamptz not null,
  kind             text not null,
  first_contact    boolean not null,
  backend          int not null,
  n                int not null,
  primary key (instance_id, hour, kind, first_contact, backend)
) with (fillfactor = 50);

-- Small tables through which everything passes: cleaned after a thousand changes, without pauses, and never cut short,
-- which would lock them.
do $$
declare t text;
begin
  foreach t in array array['inbox', 'drafts', 'outbox', 'on_wire', 'slot_minutes', 'slot_hours'] loop
    execute format('alter table %s set (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.02,
      autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_threshold = 1000, autovacuum_analyze_scale_factor = 0.02,
      vacuum_truncate = false)', t);
  end loop;
end $$;

-- News about a message that came before the message itself (webhooks have no order): applied when it arrives, gone
-- after a day.
create table early_updates (
  id           bigint generated always as identity primary key,
  tenant_id    text not null references tenants (id),
  instance_id  bigint not null references instances (id),
  provider_id  text not null,
  event        jsonb not null,
  created_at   timestamptz not null default now()
);
create index early_updates_key on early_updates (instance_id, provider_id);
create index early_updates_age on early_updates (created_at);

create table tool_calls (
  id               bigint generated always as identity primary key,
  tenant_id        text not null,
  turn_id          bigint not null,
  conversation_id  bigint not null references conversations (id),
  name             text not null,
  input            jsonb not null,
  output           text not null,
  ok               boolean not null,
  ms               int not null,
  found            jsonb,                     -- of a business tool that reads: {field: [values]} of what it returned
  cost_usd         numeric,                   -- of a business tool with a price
  created_at       timestamptz not null default now()
);
create index tool_calls_turn on tool_calls (turn_id);
create index tool_calls_conversation on tool_calls (conversation_id);

create table model_calls (
  id                  bigint generated always as identity primary key,
  tenant_id           text not null,
  turn_id             bigint,                 -- of a turn, or
  media_id            bigint,                 -- for what a file shows, before any turn
  model               text not null,
  outcome             text not null,
  ms                  int not null,
  input_tokens        int not null default 0,
  output_tokens       int not null default 0,
  cache_read_tokens   int not null default 0,
  cache_write_tokens  int not null default 0,
  thinking_tokens     int not null default 0, -- of the output
  cost_usd            numeric(14, 8),         -- at the price of the day of the call; null: the model has none
  -- it was broken off: its input is paid, and nobody told how much that was
  estimated           boolean not null default false,
  detail              text,                   -- the category of a refusal
  -- why the cache had nothing of the prompt; null: it had what it could have
  cache_miss          text,
  created_at          timestamptz not null default now()
);
create index model_calls_turn on model_calls (turn_id);
create index model_calls_media on model_calls (media_id) where media_id is not null;

-- Money spent, by day (UTC), kind and number: the sum over its rows. A connection of the database adds to rows of its
-- own (`backend`), as in slot_minutes; those of a day that is over become one, with backend 0 (tend_spend).
create table spend_days (
  tenant_id    text not null,
  day          date not null,
  kind         text not null,                 -- 'model', 'audio', ...
  instance_id  bigint not null,               -- 0: of no number
  backend      int not null,
  usd          numeric(16, 8) not null,
  calls        int not null,
  unpriced     int not null,                  -- calls without a price, which are in no sum of money
  units        numeric not null default 0,    -- what the kind is measured in: audio in seconds
  primary key (tenant_id, day, kind, instance_id, backend)
) with (fillfactor = 50);

-- Money that an open turn, the reading of a file, or a summary may still cost, where there is a ceiling: from its claim until it
-- is settled.
create table spend_reservations (
  id           bigint generated always as identity primary key,
  turn_id      bigint unique,
  media_id     bigint unique,
  summary_id   bigint unique,
  tenant_id    text not null,
  contact_id   bigint,                 -- of a turn, of a summary
  instance_id  bigint,
  model        text not null,
  usd          numeric(16, 8) not null,
  created_at   timestamptz not null,
  check (num_nonnulls(turn_id, media_id, summary_id) = 1)
) with (fillfactor = 70);

-- What a person should look at. controls: the agent is quiet in that conversation until it is returned.
create table handoffs (
  id               bigint generated always as identity primary key,
  tenant_id        text not null references tenants (id),
  conversation_id  bigint not null references conversations (id),
  turn_id          bigint references turns (id),
  reason           text not null,
  summary          text,
  suggestion       text,                 -- what the agent would have answered
  controls         boolean not null,
  status           text not null default 'open' check (status in ('open', 'notified', 'returned')),
  created_at       timestamptz not null default now(),
  notified_at      timestamptz,          -- people were told
  reminded_at      timestamptz,          -- and once more, since nobody had taken it
  taken_at         timestamptz,          -- a person wrote in the conversation
  returned_at      timestamptz,
  returned_by      text                  -- who, 'handset' or 'timeout'
);
create unique index handoffs_one_open on handoffs (conversation_id, controls) where status <> 'returned';
create index handoffs_conversation on handoffs (conversation_id);
create index handoffs_turn on handoffs (turn_id) where turn_id is not null;
create index handoffs_under_way on handoffs (created_at) where status <> 'returned';

-- Who wants no message that it did not ask for. Of a contact, or, when the contact was erased or never known, of the
-- hash of an address: whoever is made anew with that address has opted out again.
create table opt_outs (
  id            bigint generated always as identity primary key,
  tenant_id     text not null references tenants (id),
  contact_id    bigint references contacts (id),
  address_hash  text,
  source        text not null,
  -- the numbers on which the person said so; none: an operator did
  said_on       bigint[] not null default '{}',
  created_at    timestamptz not null default now(),
  revoked_at    timestamptz,
  check (contact_id is not null or address_hash is not null)
);
create unique index opt_outs_hash on opt_outs (tenant_id, address_hash) where contact_id is null and revoked_at is null;
create unique index opt_outs_one on opt_outs (contact_id) where revoked_at is null;
create index opt_outs_contact on opt_outs (contact_id);

-- What is left of people who were erased: keyed hashes of their addresses and of the ids of their messages, so that
-- what Evolution, a queue, a stored webhook or a backup still has of them is known when it comes, and not stored again.
-- Nobody can be found by them who does not know the address already.
create table erasures (
  id          bigint generated always as identity primary key,
  tenant_id   text not null references tenants (id),
  kind        text not null check (kind in ('address', 'message')),
  hash        text not null,
  erased_at   timestamptz not null,
  own_until   timestamptz,    -- of an address: until then a message of our own to it may be one that was on its way
  unique (tenant_id, hash)
);
create index erasures_time on erasures (erased_at);

-- Messages that were put aside since anybody can forge them, as keyed hashes of their ids: Evolution shows them without
-- their mark when it is asked, and then they are known by this.
create table forged_messages (
  tenant_id    text not null references tenants (id),
  instance_id  bigint not null references instances (id),
  hash         text not null,          -- see message_hash
  chats        text[] not null,        -- address_hash of the chat that it claims; empty: of several
  until        timestamptz not null,   -- after that nobody asks Evolution for it any more
  found_at     timestamptz,            -- a comparison has met it, dropped it and told so
  primary key (instance_id, hash)
);
create index forged_messages_age on forged_messages (until);

-- The stop button, written by hand as the runbooks say: insert into julia_status (status, motivo, alterado_via) values
-- (...). The newest row of a scope and target counts. Nothing but people and admin commands writes here, and a merge of
-- two contacts, which carries a pause over.
create table julia_status (
  id            bigint generated always as identity primary key,
  tenant_id     text not null default 'default' references tenants (id),
  status        text not null check (status in ('pausado', 'ativo')),
  motivo        text,
  alterado_via  text,
  scope         text not null default 'all' check (scope in ('all', 'tenant', 'instance', 'campaign', 'conversation')),
  target        text not null default '',   -- tenant id, instance name, campaign id or conversation id; '' for all
  created_at    timestamptz not null default now()
);
create index julia_status_newest on julia_status (scope, target, id desc);

create table job_runs (
  id          bigint generated always as identity primary key,
  tenant_id   text not null default 'default' references tenants (id),
  job         text not null,
  tick        timestamptz not null,
  status      text not null default 'running' check (status in ('running', 'done', 'failed', 'skipped')),
  worker      text not null,
  attempts    int not null default 1,
  lease_until timestamptz,                          -- running: beyond it the scheduler is dead
  started_at  timestamptz not null default now(),
  ended_at    timestamptz,
  ms          int,
  count       int,
  error       text,
  unique (job, tick)
);
create index job_runs_age on job_runs (started_at);
create index job_runs_running on job_runs (lease_until) where status = 'running';

create table process_status (
  id          text primary key,             -- mode, host, pid and a random part
  tenant_id   text not null default 'default' references tenants (id),
  mode        text not null check (mode in ('api', 'worker', 'scheduler', 'all')),
  version     text not null,
  started_at  timestamptz not null,
  seen_at     timestamptz not null,
  breakers    jsonb not null default '[]',
  queues      jsonb not null default '{}',
  figures     jsonb not null default '{}'   -- cpu, memory, disk, requests, calls of Evolution; see figures.ts
);

create table circuit_transitions (
  id          bigint generated always as identity primary key,
  tenant_id   text not null default 'default' references tenants (id),
  breaker     text not null,
  instance    text,
  process     text not null,
  state       text not null check (state in ('closed', 'open', 'half_open')),
  reason      text,
  created_at  timestamptz not null default now()
);

create table audit_log (
  id          bigint generated always as identity primary key,
  tenant_id   text not null default 'default' references tenants (id),
  actor       text not null,
  action      text not null,
  subject     text,
  details     jsonb not null default '{}',
  created_at  timestamptz not null default now()
);
create index audit_log_age on audit_log (created_at);

-- Who posted webhooks and may not: nobody registered the name, or what it claims is another's. Nothing of it is
-- answered; what came waits in webhook_events until a person adopts or forgets it.
create table set_aside (
  id            bigint generated always as identity primary key,
  -- whose secret posted it: that of the installation, or of a number of this tenant
  tenant_id     text not null default 'default' references tenants (id),
  name          text not null,                       -- the instance, as Evolution posted it
  provider_id   text,
  reason        text not null check (reason in ('nobodys_number', 'foreign_uuid', 'secret_of_another',
    'only_one_number')),
  webhooks      bigint not null default 1,           -- that came, kept or not
  first_at      timestamptz not null,
  last_at       timestamptz not null,
  forgotten_at  timestamptz                          -- a person wants to hear nothing more of it
);
create unique index set_aside_who on set_aside (name, tenant_id, coalesce(provider_id, ''));

-- Raw webhooks with the secrets taken out, for replay; kept 7 days.
create table webhook_events (
  id           bigint generated always as identity primary key,
  tenant_id    text not null default 'default' references tenants (id),
  instance     text,
  event        text,
  body         jsonb not null,
  results      jsonb,
  request_id   text,
  -- whose secret it came with, see speaks_for; a replay says no more than that
  posted_by    jsonb not null default '{"tenant": "default"}',
  aside_id     bigint references set_aside (id),     -- it was set aside, and waits
  -- it is an entry: why events in it were put aside or found no place; null: none was
  ignored      text[],
  received_at  timestamptz not null default now()
);
create index webhook_events_age on webhook_events (received_at);
create index webhook_events_aside on webhook_events (aside_id, id) where aside_id is not null;
create index webhook_events_ignored on webhook_events (coalesce(instance, ''), (ignored[1]), received_at)
  where ignored is not null;

-- One event of a webhook, read once for all that looks at a batch of them (see hear). Of no table.
create type heard_event as (
  n            bigint,
  tenant_id    text,
  instance_id  bigint,
  kind         text,
  from_me      boolean,
  event        jsonb,
  provider_id  text,
  pn           text,
  lid          text,
  alt_pn       text,
  alt_lid      text,
  plain        boolean,    -- it is all that its webhook says, and may say
  for_all      boolean,    -- who posted it speaks for more than one number
  request_id   text
);

-- What the installation says of itself: `project_ref` must equal SUPABASE_PROJECT_REF when both are set.
create table installation (
  key        text primary key,
  tenant_id  text not null default 'default' references tenants (id),
  value      text not null
);

insert into installation (key, value) values ('suppression_salt', gen_random_uuid()::text || gen_random_uuid()::text)
  on conflict do nothing;

-- Days on which nothing leaves that nobody asked for. Brazil's come from a library (npm run migrate, and the scheduler
-- each day); operators add their own by hand, or set closed to false for a day on which they work.
create table holidays (
  tenant_id  text not null default 'default' references tenants (id),   -- those of `default` hold for every tenant
  day        date not null,
  name       text not null,
  closed     boolean not null default true,
  primary key (tenant_id, day)
);

-- Each time that a contact asked whether it talks with a machine.
create table bot_suspicions (
  id                 bigint generated always as identity primary key,
  tenant_id          text not null references tenants (id),
  conversation_id    bigint not null references conversations (id),
  message_id         bigint not null references messages (id) on delete cascade,
  created_at         timestamptz not null default now(),
  false_positive_at  timestamptz,
  marked_by          text
);
create index bot_suspicions_age on bot_suspicions (tenant_id, created_at);
create index bot_suspicions_conversation on bot_suspicions (conversation_id);
create index bot_suspicions_message on bot_suspicions (message_id);

-- What happened to a number, and why. Append-only.
create table instance_events (
  id           bigint generated always as identity primary key,
  tenant_id    text not null default 'default' references tenants (id),
  instance_id  bigint not null references instances (id),
  event        text not null check (event in ('connection', 'held', 'released', 'changed', 'restarted', 'deaf',
    'hears')),
  reason       text,
  details      jsonb not null default '{}',
  created_at   timestamptz not null default now()
);
create index instance_events_newest on instance_events (instance_id, id desc);
create index instance_events_tenant on instance_events (tenant_id);

-- A person asks for breakers to be closed; each process reads it back with its heartbeat.
create table breaker_resets (
  id          bigint generated always as identity primary key,
  tenant_id   text not null default 'default' references tenants (id),
  breaker     text,          -- null: all
  instance    text,          -- null: all
  actor       text not null,
  created_at  timestamptz not null default now()
);
create index breaker_resets_tenant on breaker_resets (tenant_id);

-- A notice is a message to the people who run this: an alert, a handoff, a report. `key` names what it is about, so
-- that it is told once. pending: waits for due_at; handed: its WhatsApp message is on its way, looked at again at
-- due_at; sent, failed: over.
create table notices (
  id          bigint generated always as identity primary key,
  tenant_id   text not null references tenants (id),
  key         text not null,
  kind        text not null,
  text        text not null,
  urgent      boolean not null,
  about       text,                                 -- name of the number that it is about, which must not carry it
  -- it is about the manager's own conversation: only Slack may have it
  not_manager boolean not null default false,
  status      text not null default 'pending' check (status in ('pending', 'handed', 'sent', 'failed')),
  channel     text check (channel in ('slack', 'whatsapp')),
  attempts    int not null default 0,
  claim       bigint not null default 0,            -- fence: rises with each claim
  due_at      timestamptz not null,
  error       text,                                 -- a word: why the last attempt came to nothing
  message_id  bigint references messages (id),      -- the WhatsApp message that carries it
  created_at  timestamptz not null,
  ended_at    timestamptz,
  unique (tenant_id, key)
);
create index notices_due on notices (due_at) where status in ('pending', 'handed');
create index notices_message on notices (message_id) where message_id is not null;
create index notices_age on notices (created_at);

-- What a tenant calls groups of its contacts by.
create table contact_tags (
  tenant_id   text not null references tenants (id),
  contact_id  bigint not null references contacts (id),
  tag         text not null,
  added_by    text not null,
  created_at  timestamptz not null,
  primary key (contact_id, tag)
);
create index contact_tags_tag on contact_tags (tenant_id, tag, contact_id);

-- An offer to many. draft: nobody is chosen yet; scheduled: it begins at starts_at; running: its recipients are queued
-- a hundred at a time; paused: by a person, or by itself (`reason`); done, cancelled: over. Its name is the campaign_id
-- of its messages, so what pauses a campaign anywhere pauses this one.
create table campaigns (
  id           bigint generated always as identity primary key,
  tenant_id    text not null references tenants (id),
  name         text not null check (name ~ '^[a-z0-9][a-z0-9-]{0,49}$'),
  text         text not null,               -- with placeholders
  audience     jsonb not null check (jsonb_typeof(audience) = 'object'),
  instance_id  bigint references instances (id),   -- null: the fittest number
  status       text not null default 'draft' check (status in ('draft', 'scheduled', 'running', 'paused', 'done',
    'cancelled')),
  reason       text check (reason in ('opt_outs', 'deliveries')),   -- it paused by itself
  starts_at    timestamptz,
  started_at   timestamptz,
  ended_at     timestamptz,
  judged_from  timestamptz,                 -- what was sent before says nothing any more: a person has looked
  created_by   text not null,
  created_at   timestamptz not null,
  unique (tenant_id, name)
);
create index campaigns_live on campaigns (id) where status in ('scheduled', 'running');
create index campaigns_instance on campaigns (instance_id) where instance_id is not null;

-- Who gets a campaign, and in which words: settled when it begins. What becomes of one that was queued, its message
-- says.
create table campaign_recipients (
  campaign_id  bigint not null references campaigns (id),
  contact_id   bigint not null references contacts (id),
  tenant_id    text not null references tenants (id),
  phone        text,                        -- null: none is known, or everything of the person was erased
  text         text,
  status       text not null check (status in ('waiting', 'queued', 'skipped', 'cancelled')),
  reason       text,
  message_id   bigint references messages (id) on delete set null,
  primary key (campaign_id, contact_id)
);
create index campaign_recipients_waiting on campaign_recipients (campaign_id, contact_id) where status = 'waiting';
create index campaign_recipients_contact on campaign_recipients (contact_id);
create index campaign_recipients_message on campaign_recipients (message_id) where message_id is not null;
create index campaign_recipients_tenant on campaign_recipients (tenant_id);

-- One row per condition and what it is about, for ever: a few dozen.
--   ok        not so
--   pending   so, but not for long enough, or told too short a time ago
--   firing    people have been told; the recovery will be told too
create table alerts (
  id           bigint generated always as identity primary key,
  tenant_id    text not null default 'default' references tenants (id),
  key          text not null unique,                 -- the condition and its subject: `breaker:evolution:julia-prod`
  name         text not null,                        -- the condition
  subject      text,
  urgent       boolean not null,
  about        text,                                 -- name of the number that it is about
  text         text not null,
  recovery     text,                                 -- null: its end is no news
  status       text not null check (status in ('ok', 'pending', 'firing')),
  since        timestamptz not null,                 -- of the present state of affairs: first seen, or recovered
  seen_at      timestamptz not null,                 -- last seen to be so
  told_at      timestamptz,
  -- how bad it was when people were told: what gets worse is told again
  stage        int not null default 1,
  times        int not null default 0                -- messages so far
);
create index alerts_name on alerts (name) where status <> 'ok';

-- One row for each minute in which a scheduler looked: whether messages could be taken, answered and sent. A minute
-- without a row is one in which nobody could.
create table sla_minutes (
  minute     timestamptz primary key,
  tenant_id  text not null default 'default' references tenants (id),
  up         boolean not null
);

create table slack_events (
  event_id    text primary key,
  tenant_id   text not null default 'default' references tenants (id),
  created_at  timestamptz not null default now()
);
create index slack_events_age on slack_events (created_at);

-- Webhooks that waited in the queue and were stored, by the id that was sealed with each (spend_kept).
create table kept_spent (
  id          uuid primary key,
  tenant_id   text not null default 'default' references tenants (id),
  created_at  timestamptz not null default now()
);
create index kept_spent_age on kept_spent (created_at);

-- A command that was asked back: whoever gave it, there where it was given, may confirm it for two minutes.
create table operator_asks (
  actor       text not null,
  place       text not null,
  tenant_id   text not null default 'default' references tenants (id),
  command     jsonb not null,
  expires_at  timestamptz not null,
  primary key (actor, place)
);

-- The figures of each day that is over, as report_figures gave them: they outlive the rows that they count.
create table daily_counts (
  tenant_id  text not null references tenants (id),
  day        date not null,                        -- in the zone of the installation
  counts     jsonb not null,
  primary key (tenant_id, day)
);

-- How each number ended its day.
create table number_days (
  tenant_id    text not null references tenants (id),
  instance_id  bigint not null references instances (id),
  day          date not null,
  figures      jsonb not null,
  primary key (instance_id, day)
);
create index number_days_tenant on number_days (tenant_id);

-- A token is signed, not stored: a row says who has which, and whether it was taken away. One that was signed elsewhere
-- with the installation's key gets its row at its first use.
create table tokens (
  id          text primary key check (id ~ '^[A-Za-z0-9_-]{8,64}$'),   -- its jti, or a digest of what was signed
  tenant_id   text not null references tenants (id),
  sub         text not null,
  role        text not null,
  issued_by   text,                          -- null: signed elsewhere
  expires_at  timestamptz not null,
  used_at     timestamptz,                   -- its last use, to the hour
  revoked_at  timestamptz,
  revoked_by  text,
  created_at  timestamptz not null default now()
);
create index tokens_tenant on tokens (tenant_id, created_at);
create index tokens_age on tokens (expires_at);

-- Who uses the console. An e-mail is one person of one tenant, in the whole installation.
create table users (
  id             bigint generated always as identity primary key,
  tenant_id      text not null references tenants (id),
  email          text not null unique check (email = lower(email)),
  role           text not null check (role in ('sender', 'operator', 'admin')),
  failures       int not null default 0,     -- wrong passwords in a row
  locked_until   timestamptz,                -- too many of them: until then no password is right
  logged_in_at   timestamptz,
  disabled_at    timestamptz,
  disabled_by    text,
  created_by     text not null,
  created_at     timestamptz not null default now()
);
create index users_tenant on users (tenant_id);

-- Each password that a user was given or chose, and who asked for it; the newest counts, and of the others no hash is
-- left.
create table user_passwords (
  id           bigint generated always as identity primary key,
  tenant_id    text not null references tenants (id),
  user_id      bigint not null references users (id),
  hash         text,                         -- see people/passwords.ts
  temporary    boolean not null,             -- made by the product: it must be changed at the first login
  asked_by     text not null,
  created_at   timestamptz not null default now()
);
create index user_passwords_user on user_passwords (user_id, id);
create index user_passwords_tenant on user_passwords (tenant_id);

-- Who is logged in. The token is in the person's cookie, and here is its digest only.
create table sessions (
  hash         text primary key,
  tenant_id    text not null references tenants (id),
  user_id      bigint not null references users (id),
  created_at   timestamptz not null default now(),
  used_at      timestamptz not null          -- to some minutes
);
create index sessions_user on sessions (user_id);
create index sessions_tenant on sessions (tenant_id);

-- What a contact asked to be reminded of, as the turn stored it. A row becomes one message of the lane when it is due.
create table reminders (
  id               bigint generated always as identity primary key,
  tenant_id        text not null references tenants (id),
  conversation_id  bigint not null references conversations (id),
  turn_id          bigint references turns (id),
  about            text not null,            -- what of, with no day in it
  words            text not null,            -- how the contact said when
  due_at           timestamptz not null,
  event_at         timestamptz,              -- when the thing itself is: said as it is at the send (hoje, amanhã)
  status           text not null default 'waiting' check (status in ('waiting', 'queued', 'cancelled')),
  reason           text,
  message_id       bigint,                   -- of the lane; it may be gone
  created_at       timestamptz not null,
  ended_at         timestamptz
);
create index reminders_due on reminders (due_at) where status = 'waiting';
create unique index reminders_once on reminders (conversation_id, due_at, about) where status = 'waiting';
create index reminders_conversation on reminders (conversation_id);
create index reminders_turn on reminders (turn_id) where turn_id is not null;
create index reminders_message on reminders (message_id) where message_id is not null;
create index reminders_tenant on reminders (tenant_id, id);

-- What a tenant says to who was answered and went quiet: [{after_minutes, text}], each step counted from the one before.
create table follow_up_ladders (
  tenant_id       text primary key references tenants (id),
  steps           jsonb not null check (jsonb_typeof(steps) = 'array'),
  only_questions  boolean not null,         -- only when the agent's last words were a question
  enabled_at      timestamptz,              -- null: off; who wrote last before it is left alone
  updated_by      text not null,
  updated_at      timestamptz not null
);

-- A ladder that runs in a conversation, and those that did: one for each silence.
create table follow_ups (
  id               bigint generated always as identity primary key,
  tenant_id        text not null references tenants (id),
  conversation_id  bigint not null references conversations (id),
  since            timestamptz not null,     -- when the contact wrote last
  after_seq        bigint not null,          -- the newest message then: whatever comes in after it ends the ladder
  step             int not null default 0,   -- steps that were queued
  due_at           timestamptz not null,     -- when the next one is looked at
  status           text not null default 'active' check (status in ('active', 'done', 'cancelled')),
  reason           text,
  message_id       bigint,                   -- of the step that was queued last
  created_at       timestamptz not null,
  ended_at         timestamptz
);
create unique index follow_ups_one_active on follow_ups (conversation_id) where status = 'active';
create unique index follow_ups_once on follow_ups (conversation_id, since);
create index follow_ups_due on follow_ups (due_at) where status = 'active';
create index follow_ups_message on follow_ups (message_id) where message_id is not null;
create index follow_ups_tenant on follow_ups (tenant_id, id);

-- The words and the switch of each type of order notice, where a tenant has others than the product
-- (src/orders/notice-texts.ts); a row is there once somebody changed either.
create table notice_templates (
  tenant_id   text not null references tenants (id),
  type        text not null,
  text        text,                          -- null: the product's words
  enabled     boolean not null default true,
  updated_by  text not null,
  updated_at  timestamptz not null,
  primary key (tenant_id, type)
);

-- What a shop asked to be told of an order, a row each time it asked. Its words are those of that moment. `outcome`
-- says what came of it at once; what becomes of one that was queued, its message says.
create table order_notices (
  id            bigint generated always as identity primary key,
  tenant_id     text not null references tenants (id),
  type          text not null,
  reference     text not null,               -- the order, as the shop names it
  phone         text not null,               -- canonical digits
  data          jsonb not null,
  text          text not null,
  -- of type, phone, reference and data: the same again is a repeat
  fingerprint   text not null,
  outcome       text not null check (outcome in ('queued', 'deduped', 'type_disabled')),
  message_id    bigint references messages (id) on delete cascade,
  -- the one that this repeats, or sends again
  duplicate_of  bigint references order_notices (id) on delete cascade,
  resend_of     bigint references order_notices (id) on delete cascade,
  test          boolean not null default false,   -- with invented values, to somebody of the shop
  asked_by      text not null,
  created_at    timestamptz not null,
  constraint order_notices_queued check ((outcome = 'queued') = (message_id is not null)),
  constraint order_notices_repeat check ((outcome = 'deduped') = (duplicate_of is not null))
);
create unique index order_notices_once on order_notices (tenant_id, fingerprint)
  where outcome = 'queued' and resend_of is null and not test;
create index order_notices_newest on order_notices (tenant_id, id);
create index order_notices_reference on order_notices (tenant_id, reference, id);
create index order_notices_phone on order_notices (tenant_id, phone, id);
create index order_notices_message on order_notices (message_id) where message_id is not null;
create index order_notices_repeats on order_notices (duplicate_of) where duplicate_of is not null;
create index order_notices_resends on order_notices (resend_of) where resend_of is not null;

-- Documents of a folder at Google, as they were read last.
create table documents (
  id           bigint generated always as identity primary key,
  tenant_id    text not null references tenants (id),
  folder       text not null check (folder in ('briefings', 'templates')),
  external_id  text not null,               -- at Google
  name         text not null,
  modified_at  timestamptz not null,        -- as Google says; the same again: it is not read
  hash         text not null,               -- of its words; the same again: nothing is proposed
  status       text not null default 'current' check (status in ('current', 'deleted')),
  synced_at    timestamptz not null,
  unique (tenant_id, folder, external_id)
);

-- What the team tells the agent, beside its words: in force until it ends. Of a document it is proposed first, and a
-- person says yes.
create table directives (
  id           bigint generated always as identity primary key,
  tenant_id    text not null references tenants (id),
  scope        text not null check (scope in ('global', 'agent', 'campaign', 'contact')),
  target       text not null,               -- slug, name of the campaign, id of the contact; empty: global
  text         text not null,
  status       text not null check (status in ('proposed', 'active', 'rejected', 'withdrawn', 'ended')),
  document_id  bigint references documents (id),
  sentence     text,                        -- of the document, that it came from
  replaces     bigint references directives (id),   -- what this sentence was before
  ends_at      timestamptz,
  created_by   text not null,
  created_at   timestamptz not null,
  decided_by   text,                        -- who said yes, no, or ended it
  decided_at   timestamptz
);
create index directives_in_force on directives (tenant_id, id) where status = 'active';
create unique index directives_once on directives (tenant_id, scope, target, text) where status = 'active';
create index directives_tenant on directives (tenant_id, id);
create index directives_document on directives (document_id) where document_id is not null;
create index directives_replaces on directives (replaces) where replaces is not null;
-- Secrets of a tenant by name, sealed (process/secrets.ts): a tool names one, and nobody is shown it.
create table tenant_secrets (
  tenant_id   text not null references tenants (id),
  name        text not null check (name ~ '^[A-Z][A-Z0-9_]{1,39}$'),
  sealed      text not null,
  updated_by  text not null,
  updated_at  timestamptz not null default now(),
  primary key (tenant_id, name)
);

-- Business tools, as data: see src/tools/definition-words.ts for what a definition may say. Its version grows with each
-- change, so that what a turn was given is known to be what is in force.
create table http_tools (
  id          bigint generated always as identity primary key,
  tenant_id   text not null references tenants (id),
  name        text not null check (name ~ '^[a-z][a-z0-9_]{2,47}$'),
  class       text not null check (class in ('read', 'write', 'outside')),
  definition  jsonb not null,
  version     int not null default 1,
  added_by    text not null,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  removed_at  timestamptz
);
create unique index http_tools_name on http_tools (tenant_id, name) where removed_at is null;

-- What a tool is to do outside, written with the answer that promises it. A row leaves at most once:
--   waiting    for a person's yes (approvals)
--   queued     leaves next           sending  a process makes the call until lease_until
--   done       the service said yes  failed   it said no, or the call surely never left
--   uncertain  nobody knows: told to people, never repeated
--   refused    by a person or a limit         expired  nobody said yes in time
create table tool_writes (
  id               bigint generated always as identity primary key,
  tenant_id        text not null references tenants (id),
  tool_id          bigint not null references http_tools (id),
  conversation_id  bigint not null references conversations (id),
  turn_id          bigint not null,
  key              uuid not null unique default gen_random_uuid(),   -- goes with the call as Idempotency-Key
  definition       jsonb not null,            -- as it was when the turn asked: a yes is for this
  input            jsonb not null,            -- all arguments, the bound ones too
  request          jsonb not null,            -- {method, url, body}
  amount           numeric,
  risks            text[] not null default '{}',   -- why it waited for a yes
  status           text not null check (status in ('waiting', 'queued', 'sending', 'done', 'failed', 'uncertain',
    'refused', 'expired')),
  reason           text,
  attempts         int not null default 0,
  claim            int not null default 0,
  worker           text,
  lease_until      timestamptz,
  due_at           timestamptz not null,
  sent_at          timestamptz,
  answer           text,                      -- what the service said, cut
  created_at       timestamptz not null,
  ended_at         timestamptz
);
create index tool_writes_under_way on tool_writes (due_at) where status in ('queued', 'sending');
create index tool_writes_tool on tool_writes (tool_id, created_at);
create index tool_writes_conversation on tool_writes (conversation_id, created_at);

-- A yes that is waited for. It is given or refused once, by one person, until expires_at.
create table approvals (
  id               bigint generated always as identity primary key,
  tenant_id        text not null references tenants (id),
  write_id         bigint not null unique references tool_writes (id),
  conversation_id  bigint not null references conversations (id),
  status           text not null default 'waiting' check (status in ('waiting', 'approved', 'refused', 'expired')),
  expires_at       timestamptz not null,
  told_at          timestamptz,
  decided_at       timestamptz,
  decided_by       text,
  reason           text,
  created_at       timestamptz not null
);
create index approvals_waiting on approvals (tenant_id, expires_at) where status = 'waiting';
create index approvals_conversation on approvals (conversation_id);

-- Numbers (by name) and agents (by slug) of a tenant that only look on; of a conversation its mode says so.
create table observed (
  tenant_id  text not null references tenants (id),
  scope      text not null check (scope in ('instance', 'agent')),
  target     text not null,
  since      timestamptz not null,
  actor      text not null,
  reason     text,
  primary key (tenant_id, scope, target)
);

-- Whether and how far a tenant's events are written down for other programs: see supabase/schemas/feed.sql.
create table event_feeds (
  tenant_id  text primary key references tenants (id),
  kept       boolean not null default true,
  numbered   bigint not null default 0,     -- the newest seq that was given
  gone       bigint not null default 0,     -- until here events are deleted: who has read less has missed some
  read_at    timestamptz not null           -- somebody has read by cursor, to some minutes
);

-- What happened, for other programs. A row never changes, but for the seq that it gets when somebody reads.
create table events (
  id              bigint generated always as identity primary key,
  tenant_id       text not null references tenants (id),
  seq             bigint,                   -- the cursor; null: it has none yet, see number_events
  event_id        uuid not null default gen_random_uuid(),
  type            text not null check (type in ('message.received', 'message.sent', 'conversation.handed_over',
    'lead.created', 'lead.qualified', 'ticket.opened', 'ticket.closed', 'instance.status', 'notice.sent')),
  once            text not null,            -- what it is of
  contact_id      bigint,                   -- with whose erasure it goes; no foreign keys: these rows hold nobody up
  message_id      bigint,
  occurred_at     timestamptz not null,
  correlation_id  text,
  causation_id    uuid,                     -- the event that led to it
  payload         jsonb not null,
  created_at      timestamptz not null default now()
);
create unique index events_once on events (tenant_id, type, once);
create unique index events_seq on events (tenant_id, seq) where seq is not null;
create index events_unnumbered on events (tenant_id, id) where seq is null;
create index events_contact on events (contact_id) where contact_id is not null;
create index events_message on events (message_id) where message_id is not null;

-- Programs that are posted events, in order: one post at a time, each until it arrived (claim_push, record_push).
create table subscriptions (
  id              bigint generated always as identity primary key,
  tenant_id       text not null references tenants (id),
  url             text not null,
  types           jsonb check (jsonb_typeof(types) = 'array'),   -- null: all
  secret          text not null,            -- name of a row of tenant_secrets; NAME_OLD: the one before
  previous_until  timestamptz,              -- until then it is signed with both
  status          text not null default 'active' check (status in ('active', 'disabled')),
  cursor          bigint not null,          -- until this seq everything has arrived
  failures        int not null default 0,   -- in a row
  failing_since   timestamptz,
  last_fault      text,
  due_at          timestamptz not null default '-infinity',
  claim           bigint not null default 0,
  worker          text,
  lease_until     timestamptz,
  delivered_at    timestamptz,
  created_by      text not null,
  created_at      timestamptz not null
);
create index subscriptions_tenant on subscriptions (tenant_id, id);

-- Rights. Row level security is on everywhere and nothing is granted to anon and authenticated, to whom Supabase grants
-- every new table and function by default: the only way in are the service role, the runtime and the owner of the
-- database. The two may the same, and neither owns anything: they read and write rows and call functions. (The policies
-- are for the runtime, whom no attribute lets past row level security: attributes are not inherited by members.) Rows
-- of tenants, numbers and agents are pointed at by all others and never go; the audit is added to and read, and nothing
-- in it changes, nor is anything added to its past.
do $$
declare t text;
begin
  for t in select c.oid::regclass from pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname <> 'schema_migrations'
        and not exists (select 1 from pg_depend d where d.objid = c.oid and d.deptype = 'e') loop
    execute format('alter table %s enable row level security', t);
    execute format('revoke all on %s from anon, authenticated', t);
    execute format('grant select, insert, update, delete on %s to service_role, whats_agents_runtime', t);
    execute format('create policy runtime on %s to service_role, whats_agents_runtime using (true) with check (true)',
      t);
  end loop;
  revoke all on all sequences in schema public from anon, authenticated;
  revoke delete, truncate on tenants, instances, agents from service_role, whats_agents_runtime;
  revoke all on audit_log from service_role, whats_agents_runtime;
  -- not the id; for the date see date_audit
  grant select, insert (tenant_id, actor, action, subject, details, created_at) on audit_log to service_role,
    whats_agents_runtime;
end $$;
