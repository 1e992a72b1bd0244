-- Made by `npm run schema` from supabase/migrations. Do not edit: edit supabase/schemas or write a migration.

set check_function_bodies = off;

create table public.agents (
  id bigint generated always as identity not null,
  tenant_id text default 'default'::text not null,
  slug text default 'default'::text not null,
  version integer not null,
  active boolean default true not null,
  name text not null,
  company text,
  tone text not null,
  instructions text not null,
  promises text not null,
  language text default 'pt-BR'::text not null,
  sentences jsonb default '{}'::jsonb not null,
  model text,
  model_complex text,
  tools text[] default ARRAY['handoff_to_human'::text, 'opt_out'::text, 'remember'::text, 'react'::text, 'set_reminder'::text, 'cancel_reminders'::text] not null,
  hours jsonb,
  note text,
  created_by text default CURRENT_USER not null,
  created_at timestamp with time zone default now() not null,
  published_at timestamp with time zone,
  replaced bigint,
  constraint agents_pkey PRIMARY KEY (id),
  constraint agents_tenant_id_slug_version_key UNIQUE (tenant_id, slug, version),
  constraint agents_hours_check CHECK (((jsonb_typeof(hours) = 'object'::text) AND (COALESCE((hours ->> 'start'::text), '00:00'::text) ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'::text) AND (COALESCE((hours ->> 'end'::text), '24:00'::text) ~ '^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$'::text) AND (jsonb_typeof(COALESCE((hours -> 'weekdays'::text), '[]'::jsonb)) = 'array'::text) AND (jsonb_typeof(COALESCE((hours -> 'holidays'::text), 'true'::jsonb)) = 'boolean'::text))),
  constraint agents_language_check CHECK ((language = ANY (ARRAY['pt-BR'::text, 'es'::text, 'en'::text]))),
  constraint agents_sentences_check CHECK ((jsonb_typeof(sentences) = 'object'::text))
);
alter table public.agents enable row level security;
CREATE UNIQUE INDEX agents_one_active ON public.agents USING btree (tenant_id, slug) WHERE active;
create policy runtime on public.agents as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant insert, select, update on public.agents to service_role;
grant insert, select, update on public.agents to whats_agents_runtime;

create table public.alerts (
  id bigint generated always as identity not null,
  tenant_id text default 'default'::text not null,
  key text not null,
  name text not null,
  subject text,
  urgent boolean not null,
  about text,
  text text not null,
  recovery text,
  status text not null,
  since timestamp with time zone not null,
  seen_at timestamp with time zone not null,
  told_at timestamp with time zone,
  stage integer default 1 not null,
  times integer default 0 not null,
  constraint alerts_pkey PRIMARY KEY (id),
  constraint alerts_key_key UNIQUE (key),
  constraint alerts_status_check CHECK ((status = ANY (ARRAY['ok'::text, 'pending'::text, 'firing'::text])))
);
alter table public.alerts enable row level security;
CREATE INDEX alerts_name ON public.alerts USING btree (name) WHERE (status <> 'ok'::text);
create policy runtime on public.alerts as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.alerts to service_role;
grant delete, insert, select, update on public.alerts to whats_agents_runtime;

create table public.approvals (
  id bigint generated always as identity not null,
  tenant_id text not null,
  write_id bigint not null,
  conversation_id bigint not null,
  status text default 'waiting'::text not null,
  expires_at timestamp with time zone not null,
  told_at timestamp with time zone,
  decided_at timestamp with time zone,
  decided_by text,
  reason text,
  created_at timestamp with time zone not null,
  constraint approvals_pkey PRIMARY KEY (id),
  constraint approvals_write_id_key UNIQUE (write_id),
  constraint approvals_status_check CHECK ((status = ANY (ARRAY['waiting'::text, 'approved'::text, 'refused'::text, 'expired'::text])))
);
alter table public.approvals enable row level security;
CREATE INDEX approvals_conversation ON public.approvals USING btree (conversation_id);
CREATE INDEX approvals_waiting ON public.approvals USING btree (tenant_id, expires_at) WHERE (status = 'waiting'::text);
create policy runtime on public.approvals as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.approvals to service_role;
grant delete, insert, select, update on public.approvals to whats_agents_runtime;

create table public.audit_log (
  id bigint generated always as identity not null,
  tenant_id text default 'default'::text not null,
  actor text not null,
  action text not null,
  subject text,
  details jsonb default '{}'::jsonb not null,
  created_at timestamp with time zone default now() not null,
  constraint audit_log_pkey PRIMARY KEY (id)
);
alter table public.audit_log enable row level security;
CREATE INDEX audit_log_age ON public.audit_log USING btree (created_at);
create policy runtime on public.audit_log as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant insert (tenant_id, actor, action, subject, details, created_at) on public.audit_log to service_role;
grant select on public.audit_log to service_role;
grant insert (tenant_id, actor, action, subject, details, created_at) on public.audit_log to whats_agents_runtime;
grant select on public.audit_log to whats_agents_runtime;

create table public.bot_suspicions (
  id bigint generated always as identity not null,
  tenant_id text not null,
  conversation_id bigint not null,
  message_id bigint not null,
  created_at timestamp with time zone default now() not null,
  false_positive_at timestamp with time zone,
  marked_by text,
  constraint bot_suspicions_pkey PRIMARY KEY (id)
);
alter table public.bot_suspicions enable row level security;
CREATE INDEX bot_suspicions_age ON public.bot_suspicions USING btree (tenant_id, created_at);
CREATE INDEX bot_suspicions_conversation ON public.bot_suspicions USING btree (conversation_id);
CREATE INDEX bot_suspicions_message ON public.bot_suspicions USING btree (message_id);
create policy runtime on public.bot_suspicions as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.bot_suspicions to service_role;
grant delete, insert, select, update on public.bot_suspicions to whats_agents_runtime;

create table public.breaker_resets (
  id bigint generated always as identity not null,
  tenant_id text default 'default'::text not null,
  breaker text,
  instance text,
  actor text not null,
  created_at timestamp with time zone default now() not null,
  constraint breaker_resets_pkey PRIMARY KEY (id)
);
alter table public.breaker_resets enable row level security;
CREATE INDEX breaker_resets_tenant ON public.breaker_resets USING btree (tenant_id);
create policy runtime on public.breaker_resets as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.breaker_resets to service_role;
grant delete, insert, select, update on public.breaker_resets to whats_agents_runtime;

create table public.campaign_recipients (
  campaign_id bigint not null,
  contact_id bigint not null,
  tenant_id text not null,
  phone text,
  text text,
  status text not null,
  reason text,
  message_id bigint,
  constraint campaign_recipients_pkey PRIMARY KEY (campaign_id, contact_id),
  constraint campaign_recipients_status_check CHECK ((status = ANY (ARRAY['waiting'::text, 'queued'::text, 'skipped'::text, 'cancelled'::text])))
);
alter table public.campaign_recipients enable row level security;
CREATE INDEX campaign_recipients_contact ON public.campaign_recipients USING btree (contact_id);
CREATE INDEX campaign_recipients_message ON public.campaign_recipients USING btree (message_id) WHERE (message_id IS NOT NULL);
CREATE INDEX campaign_recipients_tenant ON public.campaign_recipients USING btree (tenant_id);
CREATE INDEX campaign_recipients_waiting ON public.campaign_recipients USING btree (campaign_id, contact_id) WHERE (status = 'waiting'::text);
create policy runtime on public.campaign_recipients as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.campaign_recipients to service_role;
grant delete, insert, select, update on public.campaign_recipients to whats_agents_runtime;

create table public.campaigns (
  id bigint generated always as identity not null,
  tenant_id text not null,
  name text not null,
  text text not null,
  audience jsonb not null,
  instance_id bigint,
  status text default 'draft'::text not null,
  reason text,
  starts_at timestamp with time zone,
  started_at timestamp with time zone,
  ended_at timestamp with time zone,
  judged_from timestamp with time zone,
  created_by text not null,
  created_at timestamp with time zone not null,
  constraint campaigns_pkey PRIMARY KEY (id),
  constraint campaigns_tenant_id_name_key UNIQUE (tenant_id, name),
  constraint campaigns_audience_check CHECK ((jsonb_typeof(audience) = 'object'::text)),
  constraint campaigns_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9-]{0,49}$'::text)),
  constraint campaigns_reason_check CHECK ((reason = ANY (ARRAY['opt_outs'::text, 'deliveries'::text]))),
  constraint campaigns_status_check CHECK ((status = ANY (ARRAY['draft'::text, 'scheduled'::text, 'running'::text, 'paused'::text, 'done'::text, 'cancelled'::text])))
);
alter table public.campaigns enable row level security;
CREATE INDEX campaigns_instance ON public.campaigns USING btree (instance_id) WHERE (instance_id IS NOT NULL);
CREATE INDEX campaigns_live ON public.campaigns USING btree (id) WHERE (status = ANY (ARRAY['scheduled'::text, 'running'::text]));
create policy runtime on public.campaigns as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.campaigns to service_role;
grant delete, insert, select, update on public.campaigns to whats_agents_runtime;

create table public.circuit_transitions (
  id bigint generated always as identity not null,
  tenant_id text default 'default'::text not null,
  breaker text not null,
  instance text,
  process text not null,
  state text not null,
  reason text,
  created_at timestamp with time zone default now() not null,
  constraint circuit_transitions_pkey PRIMARY KEY (id),
  constraint circuit_transitions_state_check CHECK ((state = ANY (ARRAY['closed'::text, 'open'::text, 'half_open'::text])))
);
alter table public.circuit_transitions enable row level security;
create policy runtime on public.circuit_transitions as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.circuit_transitions to service_role;
grant delete, insert, select, update on public.circuit_transitions to whats_agents_runtime;

create table public.contact_addresses (
  id bigint generated always as identity not null,
  tenant_id text not null,
  instance_id bigint not null,
  contact_id bigint not null,
  kind text not null,
  address text not null,
  written text,
  vouched_phone text,
  delivered_at timestamp with time zone,
  moved_at timestamp with time zone,
  refused_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  constraint contact_addresses_pkey PRIMARY KEY (id),
  constraint contact_addresses_address_check CHECK ((address ~ '^[0-9]{1,20}$'::text)),
  constraint contact_addresses_kind_check CHECK ((kind = ANY (ARRAY['pn'::text, 'lid'::text]))),
  constraint contact_addresses_written_check CHECK ((written ~ '^[0-9]{5,20}$'::text))
);
alter table public.contact_addresses enable row level security;
CREATE INDEX contact_addresses_contact ON public.contact_addresses USING btree (contact_id);
CREATE INDEX contact_addresses_digits ON public.contact_addresses USING btree (reverse(address) text_pattern_ops) WHERE (kind = 'pn'::text);
CREATE UNIQUE INDEX contact_addresses_lid ON public.contact_addresses USING btree (instance_id, address) WHERE (kind = 'lid'::text);
CREATE UNIQUE INDEX contact_addresses_pn ON public.contact_addresses USING btree (tenant_id, address) WHERE (kind = 'pn'::text);
create policy runtime on public.contact_addresses as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.contact_addresses to service_role;
grant delete, insert, select, update on public.contact_addresses to whats_agents_runtime;

create table public.contact_facts (
  id bigint generated always as identity not null,
  tenant_id text not null,
  contact_id bigint not null,
  kind text not null,
  about text not null,
  fact text not null,
  message_id bigint,
  noted_at timestamp with time zone not null,
  replaced_at timestamp with time zone,
  constraint contact_facts_pkey PRIMARY KEY (id),
  constraint contact_facts_kind_check CHECK ((kind = ANY (ARRAY['name'::text, 'preference'::text, 'address'::text, 'request'::text, 'other'::text])))
);
alter table public.contact_facts enable row level security;
CREATE INDEX contact_facts_contact ON public.contact_facts USING btree (contact_id, noted_at);
CREATE INDEX contact_facts_tenant ON public.contact_facts USING btree (tenant_id);
CREATE UNIQUE INDEX contact_facts_current ON public.contact_facts USING btree (contact_id, kind, about) WHERE (replaced_at IS NULL);
create policy runtime on public.contact_facts as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.contact_facts to service_role;
grant delete, insert, select, update on public.contact_facts to whats_agents_runtime;

create table public.contact_merges (
  id bigint generated always as identity not null,
  tenant_id text not null,
  kept bigint not null,
  merged bigint not null,
  moved jsonb not null,
  created_at timestamp with time zone default now() not null,
  undone_at timestamp with time zone,
  constraint contact_merges_pkey PRIMARY KEY (id)
);
alter table public.contact_merges enable row level security;
CREATE INDEX contact_merges_kept ON public.contact_merges USING btree (kept, id);
CREATE INDEX contact_merges_merged ON public.contact_merges USING btree (merged);
CREATE INDEX contact_merges_tenant ON public.contact_merges USING btree (tenant_id);
create policy runtime on public.contact_merges as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.contact_merges to service_role;
grant delete, insert, select, update on public.contact_merges to whats_agents_runtime;

create table public.contact_tags (
  tenant_id text not null,
  contact_id bigint not null,
  tag text not null,
  added_by text not null,
  created_at timestamp with time zone not null,
  constraint contact_tags_pkey PRIMARY KEY (contact_id, tag)
);
alter table public.contact_tags enable row level security;
CREATE INDEX contact_tags_tag ON public.contact_tags USING btree (tenant_id, tag, contact_id);
create policy runtime on public.contact_tags as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.contact_tags to service_role;
grant delete, insert, select, update on public.contact_tags to whats_agents_runtime;

create table public.contacts (
  id bigint generated always as identity not null,
  tenant_id text not null,
  name text,
  cooling_until timestamp with time zone,
  next_allowed_at timestamp with time zone,
  merged_into bigint,
  erased_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint contacts_pkey PRIMARY KEY (id)
);
alter table public.contacts enable row level security;
CREATE INDEX contacts_merged ON public.contacts USING btree (merged_into) WHERE (merged_into IS NOT NULL);
CREATE INDEX contacts_words ON public.contacts USING gin (to_tsvector('simple'::regconfig, translate(lower("left"(name, 200)), 'áàâãäéèêëíìîïóòôõöúùûüçñ'::text, 'aaaaaeeeeiiiiooooouuuucn'::text))) WHERE (name IS NOT NULL);
create policy runtime on public.contacts as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.contacts to service_role;
grant delete, insert, select, update on public.contacts to whats_agents_runtime;

create table public.conversations (
  id bigint generated always as identity not null,
  tenant_id text not null,
  instance_id bigint not null,
  contact_id bigint not null,
  jid text not null,
  controlled_by text default 'agent'::text not null,
  escalation_reason text,
  mode text default 'auto'::text not null,
  taken_by text,
  taken_at timestamp with time zone,
  takeover_since timestamp with time zone,
  takeover_until timestamp with time zone,
  last_seq bigint default 0 not null,
  inbound_seq bigint default 0 not null,
  fence bigint default 0 not null,
  superseded_in_row integer default 0 not null,
  failed_in_row integer default 0 not null,
  failing_since timestamp with time zone,
  deferred_since timestamp with time zone,
  deferred_until timestamp with time zone,
  deferred_reason text,
  apologised_at timestamp with time zone,
  previous_answer jsonb,
  quiet_until timestamp with time zone,
  quiet_reason text,
  typing_until timestamp with time zone,
  typing_seq bigint,
  last_inbound_at timestamp with time zone,
  forward_from bigint,
  forward_due_at timestamp with time zone,
  forwarded_at timestamp with time zone,
  observed_labels text[] default '{}'::text[] not null,
  observed_summary text,
  observed_at timestamp with time zone,
  merged_into bigint,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint conversations_pkey PRIMARY KEY (id),
  constraint conversations_instance_id_contact_id_key UNIQUE (instance_id, contact_id),
  constraint conversations_controlled_by_check CHECK ((controlled_by = ANY (ARRAY['agent'::text, 'human'::text]))),
  constraint conversations_mode_check CHECK ((mode = ANY (ARRAY['auto'::text, 'assist'::text, 'manual'::text, 'observe'::text])))
);
alter table public.conversations enable row level security;
CREATE INDEX conversations_contact ON public.conversations USING btree (contact_id);
CREATE INDEX conversations_deferred ON public.conversations USING btree (deferred_until) WHERE (deferred_until IS NOT NULL);
CREATE INDEX conversations_forward ON public.conversations USING btree (forward_due_at) WHERE (forward_due_at IS NOT NULL);
CREATE INDEX conversations_merged ON public.conversations USING btree (merged_into) WHERE (merged_into IS NOT NULL);
CREATE INDEX conversations_people ON public.conversations USING btree (tenant_id, id) WHERE ((controlled_by = 'human'::text) OR (mode <> 'auto'::text) OR (takeover_until IS NOT NULL) OR (quiet_until IS NOT NULL));
CREATE INDEX conversations_withdrawn ON public.conversations USING btree (instance_id) WHERE (deferred_reason = 'answer_withdrawn'::text);
create policy runtime on public.conversations as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.conversations to service_role;
grant delete, insert, select, update on public.conversations to whats_agents_runtime;

create table public.daily_counts (
  tenant_id text not null,
  day date not null,
  counts jsonb not null,
  constraint daily_counts_pkey PRIMARY KEY (tenant_id, day)
);
alter table public.daily_counts enable row level security;
create policy runtime on public.daily_counts as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.daily_counts to service_role;
grant delete, insert, select, update on public.daily_counts to whats_agents_runtime;

create table public.dead_sends (
  message_id bigint not null,
  tenant_id text not null,
  conversation_id bigint not null,
  instance_id bigint not null,
  status text not null,
  error_class text,
  created_at timestamp with time zone not null,
  constraint dead_sends_pkey PRIMARY KEY (message_id)
) with (fillfactor=90);
alter table public.dead_sends enable row level security;
CREATE INDEX dead_sends_conversation ON public.dead_sends USING btree (conversation_id);
CREATE INDEX dead_sends_instance ON public.dead_sends USING btree (instance_id, created_at);
CREATE INDEX dead_sends_newest ON public.dead_sends USING btree (tenant_id, message_id);
create policy runtime on public.dead_sends as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.dead_sends to service_role;
grant delete, insert, select, update on public.dead_sends to whats_agents_runtime;

create table public.directives (
  id bigint generated always as identity not null,
  tenant_id text not null,
  scope text not null,
  target text not null,
  text text not null,
  status text not null,
  document_id bigint,
  sentence text,
  replaces bigint,
  ends_at timestamp with time zone,
  created_by text not null,
  created_at timestamp with time zone not null,
  decided_by text,
  decided_at timestamp with time zone,
  constraint directives_pkey PRIMARY KEY (id),
  constraint directives_scope_check CHECK ((scope = ANY (ARRAY['global'::text, 'agent'::text, 'campaign'::text, 'contact'::text]))),
  constraint directives_status_check CHECK ((status = ANY (ARRAY['proposed'::text, 'active'::text, 'rejected'::text, 'withdrawn'::text, 'ended'::text])))
);
alter table public.directives enable row level security;
CREATE INDEX directives_document ON public.directives USING btree (document_id) WHERE (document_id IS NOT NULL);
CREATE INDEX directives_in_force ON public.directives USING btree (tenant_id, id) WHERE (status = 'active'::text);
CREATE INDEX directives_replaces ON public.directives USING btree (replaces) WHERE (replaces IS NOT NULL);
CREATE INDEX directives_tenant ON public.directives USING btree (tenant_id, id);
CREATE UNIQUE INDEX directives_once ON public.directives USING btree (tenant_id, scope, target, text) WHERE (status = 'active'::text);
create policy runtime on public.directives as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.directives to service_role;
grant delete, insert, select, update on public.directives to whats_agents_runtime;

create table public.documents (
  id bigint generated always as identity not null,
  tenant_id text not null,
  folder text not null,
  external_id text not null,
  name text not null,
  modified_at timestamp with time zone not null,
  hash text not null,
  status text default 'current'::text not null,
  synced_at timestamp with time zone not null,
  constraint documents_pkey PRIMARY KEY (id),
  constraint documents_tenant_id_folder_external_id_key UNIQUE (tenant_id, folder, external_id),
  constraint documents_folder_check CHECK ((folder = ANY (ARRAY['briefings'::text, 'templates'::text]))),
  constraint documents_status_check CHECK ((status = ANY (ARRAY['current'::text, 'deleted'::text])))
);
alter table public.documents enable row level security;
create policy runtime on public.documents as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.documents to service_role;
grant delete, insert, select, update on public.documents to whats_agents_runtime;

create table public.drafts (
  message_id bigint not null,
  tenant_id text not null,
  conversation_id bigint not null,
  turn_id bigint,
  constraint drafts_pkey PRIMARY KEY (message_id)
) with (fillfactor=90, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_cost_delay=0, autovacuum_analyze_threshold=1000, autovacuum_analyze_scale_factor=0.02, vacuum_truncate=false);
alter table public.drafts enable row level security;
CREATE INDEX drafts_conversation ON public.drafts USING btree (conversation_id);
create policy runtime on public.drafts as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.drafts to service_role;
grant delete, insert, select, update on public.drafts to whats_agents_runtime;

create table public.early_updates (
  id bigint generated always as identity not null,
  tenant_id text not null,
  instance_id bigint not null,
  provider_id text not null,
  event jsonb not null,
  created_at timestamp with time zone default now() not null,
  constraint early_updates_pkey PRIMARY KEY (id)
);
alter table public.early_updates enable row level security;
CREATE INDEX early_updates_age ON public.early_updates USING btree (created_at);
CREATE INDEX early_updates_key ON public.early_updates USING btree (instance_id, provider_id);
create policy runtime on public.early_updates as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.early_updates to service_role;
grant delete, insert, select, update on public.early_updates to whats_agents_runtime;

create table public.embeddings (
  tenant_id text not null,
  model text not null,
  sha256 text not null,
  vector bytea not null,
  created_at timestamp with time zone default now() not null,
  constraint embeddings_pkey PRIMARY KEY (tenant_id, model, sha256)
);
alter table public.embeddings enable row level security;
create policy runtime on public.embeddings as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.embeddings to service_role;
grant delete, insert, select, update on public.embeddings to whats_agents_runtime;

create table public.erasures (
  id bigint generated always as identity not null,
  tenant_id text not null,
  kind text not null,
  hash text not null,
  erased_at timestamp with time zone not null,
  own_until timestamp with time zone,
  constraint erasures_pkey PRIMARY KEY (id),
  constraint erasures_tenant_id_hash_key UNIQUE (tenant_id, hash),
  constraint erasures_kind_check CHECK ((kind = ANY (ARRAY['address'::text, 'message'::text])))
);
alter table public.erasures enable row level security;
CREATE INDEX erasures_time ON public.erasures USING btree (erased_at);
create policy runtime on public.erasures as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.erasures to service_role;
grant delete, insert, select, update on public.erasures to whats_agents_runtime;

create table public.event_feeds (
  tenant_id text not null,
  kept boolean default true not null,
  numbered bigint default 0 not null,
  gone bigint default 0 not null,
  read_at timestamp with time zone not null,
  constraint event_feeds_pkey PRIMARY KEY (tenant_id)
);
alter table public.event_feeds enable row level security;
create policy runtime on public.event_feeds as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.event_feeds to service_role;
grant delete, insert, select, update on public.event_feeds to whats_agents_runtime;

create table public.events (
  id bigint generated always as identity not null,
  tenant_id text not null,
  seq bigint,
  event_id uuid default gen_random_uuid() not null,
  type text not null,
  once text not null,
  contact_id bigint,
  message_id bigint,
  occurred_at timestamp with time zone not null,
  correlation_id text,
  causation_id uuid,
  payload jsonb not null,
  created_at timestamp with time zone default now() not null,
  constraint events_pkey PRIMARY KEY (id),
  constraint events_type_check CHECK ((type = ANY (ARRAY['message.received'::text, 'message.sent'::text, 'conversation.handed_over'::text, 'lead.created'::text, 'lead.qualified'::text, 'ticket.opened'::text, 'ticket.closed'::text, 'instance.status'::text, 'notice.sent'::text])))
);
alter table public.events enable row level security;
CREATE INDEX events_contact ON public.events USING btree (contact_id) WHERE (contact_id IS NOT NULL);
CREATE INDEX events_message ON public.events USING btree (message_id) WHERE (message_id IS NOT NULL);
CREATE INDEX events_unnumbered ON public.events USING btree (tenant_id, id) WHERE (seq IS NULL);
CREATE UNIQUE INDEX events_once ON public.events USING btree (tenant_id, type, once);
CREATE UNIQUE INDEX events_seq ON public.events USING btree (tenant_id, seq) WHERE (seq IS NOT NULL);
create policy runtime on public.events as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.events to service_role;
grant delete, insert, select, update on public.events to whats_agents_runtime;

create table public.follow_up_ladders (
  tenant_id text not null,
  steps jsonb not null,
  only_questions boolean not null,
  enabled_at timestamp with time zone,
  updated_by text not null,
  updated_at timestamp with time zone not null,
  constraint follow_up_ladders_pkey PRIMARY KEY (tenant_id),
  constraint follow_up_ladders_steps_check CHECK ((jsonb_typeof(steps) = 'array'::text))
);
alter table public.follow_up_ladders enable row level security;
create policy runtime on public.follow_up_ladders as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.follow_up_ladders to service_role;
grant delete, insert, select, update on public.follow_up_ladders to whats_agents_runtime;

create table public.follow_ups (
  id bigint generated always as identity not null,
  tenant_id text not null,
  conversation_id bigint not null,
  since timestamp with time zone not null,
  after_seq bigint not null,
  step integer default 0 not null,
  due_at timestamp with time zone not null,
  status text default 'active'::text not null,
  reason text,
  message_id bigint,
  created_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  constraint follow_ups_pkey PRIMARY KEY (id),
  constraint follow_ups_status_check CHECK ((status = ANY (ARRAY['active'::text, 'done'::text, 'cancelled'::text])))
);
alter table public.follow_ups enable row level security;
CREATE INDEX follow_ups_due ON public.follow_ups USING btree (due_at) WHERE (status = 'active'::text);
CREATE INDEX follow_ups_message ON public.follow_ups USING btree (message_id) WHERE (message_id IS NOT NULL);
CREATE INDEX follow_ups_tenant ON public.follow_ups USING btree (tenant_id, id);
CREATE UNIQUE INDEX follow_ups_once ON public.follow_ups USING btree (conversation_id, since);
CREATE UNIQUE INDEX follow_ups_one_active ON public.follow_ups USING btree (conversation_id) WHERE (status = 'active'::text);
create policy runtime on public.follow_ups as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.follow_ups to service_role;
grant delete, insert, select, update on public.follow_ups to whats_agents_runtime;

create table public.forged_messages (
  tenant_id text not null,
  instance_id bigint not null,
  hash text not null,
  chats text[] not null,
  until timestamp with time zone not null,
  found_at timestamp with time zone,
  constraint forged_messages_pkey PRIMARY KEY (instance_id, hash)
);
alter table public.forged_messages enable row level security;
CREATE INDEX forged_messages_age ON public.forged_messages USING btree (until);
create policy runtime on public.forged_messages as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.forged_messages to service_role;
grant delete, insert, select, update on public.forged_messages to whats_agents_runtime;

create table public.former_phones (
  id bigint generated always as identity not null,
  tenant_id text not null,
  contact_id bigint not null,
  address text not null,
  until timestamp with time zone not null,
  constraint former_phones_pkey PRIMARY KEY (id),
  constraint former_phones_address_check CHECK ((address ~ '^[0-9]{1,20}$'::text))
);
alter table public.former_phones enable row level security;
CREATE INDEX former_phones_contact ON public.former_phones USING btree (contact_id);
create policy runtime on public.former_phones as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.former_phones to service_role;
grant delete, insert, select, update on public.former_phones to whats_agents_runtime;

create table public.handoffs (
  id bigint generated always as identity not null,
  tenant_id text not null,
  conversation_id bigint not null,
  turn_id bigint,
  reason text not null,
  summary text,
  suggestion text,
  controls boolean not null,
  status text default 'open'::text not null,
  created_at timestamp with time zone default now() not null,
  notified_at timestamp with time zone,
  reminded_at timestamp with time zone,
  taken_at timestamp with time zone,
  returned_at timestamp with time zone,
  returned_by text,
  constraint handoffs_pkey PRIMARY KEY (id),
  constraint handoffs_status_check CHECK ((status = ANY (ARRAY['open'::text, 'notified'::text, 'returned'::text])))
);
alter table public.handoffs enable row level security;
CREATE INDEX handoffs_conversation ON public.handoffs USING btree (conversation_id);
CREATE INDEX handoffs_turn ON public.handoffs USING btree (turn_id) WHERE (turn_id IS NOT NULL);
CREATE INDEX handoffs_under_way ON public.handoffs USING btree (created_at) WHERE (status <> 'returned'::text);
CREATE UNIQUE INDEX handoffs_one_open ON public.handoffs USING btree (conversation_id, controls) WHERE (status <> 'returned'::text);
create policy runtime on public.handoffs as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.handoffs to service_role;
grant delete, insert, select, update on public.handoffs to whats_agents_runtime;

create table public.holidays (
  tenant_id text default 'default'::text not null,
  day date not null,
  name text not null,
  closed boolean default true not null,
  constraint holidays_pkey PRIMARY KEY (tenant_id, day)
);
alter table public.holidays enable row level security;
create policy runtime on public.holidays as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.holidays to service_role;
grant delete, insert, select, update on public.holidays to whats_agents_runtime;

create table public.http_tools (
  id bigint generated always as identity not null,
  tenant_id text not null,
  name text not null,
  class text not null,
  definition jsonb not null,
  version integer default 1 not null,
  added_by text not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  removed_at timestamp with time zone,
  constraint http_tools_pkey PRIMARY KEY (id),
  constraint http_tools_class_check CHECK ((class = ANY (ARRAY['read'::text, 'write'::text, 'outside'::text]))),
  constraint http_tools_name_check CHECK ((name ~ '^[a-z][a-z0-9_]{2,47}$'::text))
);
alter table public.http_tools enable row level security;
CREATE UNIQUE INDEX http_tools_name ON public.http_tools USING btree (tenant_id, name) WHERE (removed_at IS NULL);
create policy runtime on public.http_tools as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.http_tools to service_role;
grant delete, insert, select, update on public.http_tools to whats_agents_runtime;

create table public.inbox (
  tenant_id text not null,
  conversation_id bigint not null,
  seq bigint not null,
  message_id bigint not null,
  created_at timestamp with time zone not null,
  command boolean default false not null,
  constraint inbox_pkey PRIMARY KEY (conversation_id, seq)
) with (fillfactor=70, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_cost_delay=0, autovacuum_analyze_threshold=1000, autovacuum_analyze_scale_factor=0.02, vacuum_truncate=false);
alter table public.inbox enable row level security;
create policy runtime on public.inbox as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.inbox to service_role;
grant delete, insert, select, update on public.inbox to whats_agents_runtime;

create table public.installation (
  key text not null,
  tenant_id text default 'default'::text not null,
  value text not null,
  constraint installation_pkey PRIMARY KEY (key)
);
alter table public.installation enable row level security;
create policy runtime on public.installation as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.installation to service_role;
grant delete, insert, select, update on public.installation to whats_agents_runtime;

create table public.instance_events (
  id bigint generated always as identity not null,
  tenant_id text default 'default'::text not null,
  instance_id bigint not null,
  event text not null,
  reason text,
  details jsonb default '{}'::jsonb not null,
  created_at timestamp with time zone default now() not null,
  constraint instance_events_pkey PRIMARY KEY (id),
  constraint instance_events_event_check CHECK ((event = ANY (ARRAY['connection'::text, 'held'::text, 'released'::text, 'changed'::text, 'restarted'::text, 'deaf'::text, 'hears'::text])))
);
alter table public.instance_events enable row level security;
CREATE INDEX instance_events_newest ON public.instance_events USING btree (instance_id, id DESC);
CREATE INDEX instance_events_tenant ON public.instance_events USING btree (tenant_id);
create policy runtime on public.instance_events as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.instance_events to service_role;
grant delete, insert, select, update on public.instance_events to whats_agents_runtime;

create table public.instances (
  id bigint generated always as identity not null,
  tenant_id text default 'default'::text not null,
  name text not null,
  provider_id text,
  phone text,
  phone_doubted boolean default false not null,
  agent_id bigint,
  status text default 'unknown'::text not null,
  status_reason integer,
  status_at timestamp with time zone default now() not null,
  phase text default 'established'::text not null,
  phase_since timestamp with time zone default now() not null,
  down_since timestamp with time zone,
  reconnected_at timestamp with time zone,
  paired boolean default false not null,
  alive_at timestamp with time zone,
  answered_at timestamp with time zone,
  restarts integer default 0 not null,
  restarted_at timestamp with time zone,
  hearing_at timestamp with time zone,
  hearing_message bigint,
  deaf_since timestamp with time zone,
  cap_hour integer,
  cap_day integer,
  cap_strangers_day integer,
  hour_reset_at timestamp with time zone,
  day_reset_at timestamp with time zone,
  reply_cap_hour integer,
  pace_min_seconds numeric,
  pace_max_seconds numeric,
  next_proactive_at timestamp with time zone,
  next_notice_at timestamp with time zone,
  reconciled_at timestamp with time zone,
  restored_at timestamp with time zone,
  gateway_version text,
  gateway_version_at timestamp with time zone,
  gateway_fault text,
  evolution_key text,
  webhook_secret text,
  webhook_secret_previous text,
  webhook_secret_since timestamp with time zone,
  proactive boolean default false not null,
  trust numeric default 100 not null,
  trust_at timestamp with time zone default now() not null,
  held_reason text,
  held_since timestamp with time zone,
  held_until timestamp with time zone,
  held_in_row integer default 0 not null,
  trial_by text,
  trial_until timestamp with time zone,
  judged_from timestamp with time zone,
  greeting_message bigint,
  greeting_told_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint instances_pkey PRIMARY KEY (id),
  constraint instances_name_key UNIQUE (name),
  constraint instances_provider_id_key UNIQUE (provider_id),
  constraint instances_cap_day_check CHECK ((cap_day >= 0)),
  constraint instances_cap_hour_check CHECK ((cap_hour >= 0)),
  constraint instances_cap_strangers_day_check CHECK ((cap_strangers_day >= 0)),
  constraint instances_check CHECK ((pace_max_seconds >= pace_min_seconds)),
  constraint instances_name_check CHECK (((name !~ '[/\\%?#;\x01-\x1f\x7f]'::text) AND (name !~ '^[.\s]*$'::text))),
  constraint instances_pace_min_seconds_check CHECK ((pace_min_seconds >= (0)::numeric)),
  constraint instances_phase_check CHECK ((phase = ANY (ARRAY['warming'::text, 'established'::text]))),
  constraint instances_reply_cap_hour_check CHECK ((reply_cap_hour >= 0)),
  constraint instances_status_check CHECK ((status = ANY (ARRAY['unknown'::text, 'open'::text, 'connecting'::text, 'close'::text, 'refused'::text]))),
  constraint instances_trust_check CHECK (((trust >= (0)::numeric) AND (trust <= (100)::numeric)))
);
alter table public.instances enable row level security;
create policy runtime on public.instances as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant insert, select, update on public.instances to service_role;
grant insert, select, update on public.instances to whats_agents_runtime;

create table public.job_runs (
  id bigint generated always as identity not null,
  tenant_id text default 'default'::text not null,
  job text not null,
  tick timestamp with time zone not null,
  status text default 'running'::text not null,
  worker text not null,
  attempts integer default 1 not null,
  lease_until timestamp with time zone,
  started_at timestamp with time zone default now() not null,
  ended_at timestamp with time zone,
  ms integer,
  count integer,
  error text,
  constraint job_runs_pkey PRIMARY KEY (id),
  constraint job_runs_job_tick_key UNIQUE (job, tick),
  constraint job_runs_status_check CHECK ((status = ANY (ARRAY['running'::text, 'done'::text, 'failed'::text, 'skipped'::text])))
);
alter table public.job_runs enable row level security;
CREATE INDEX job_runs_age ON public.job_runs USING btree (started_at);
CREATE INDEX job_runs_running ON public.job_runs USING btree (lease_until) WHERE (status = 'running'::text);
create policy runtime on public.job_runs as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.job_runs to service_role;
grant delete, insert, select, update on public.job_runs to whats_agents_runtime;

create table public.julia_status (
  id bigint generated always as identity not null,
  tenant_id text default 'default'::text not null,
  status text not null,
  motivo text,
  alterado_via text,
  scope text default 'all'::text not null,
  target text default ''::text not null,
  created_at timestamp with time zone default now() not null,
  constraint julia_status_pkey PRIMARY KEY (id),
  constraint julia_status_scope_check CHECK ((scope = ANY (ARRAY['all'::text, 'tenant'::text, 'instance'::text, 'campaign'::text, 'conversation'::text]))),
  constraint julia_status_status_check CHECK ((status = ANY (ARRAY['pausado'::text, 'ativo'::text])))
);
alter table public.julia_status enable row level security;
CREATE INDEX julia_status_newest ON public.julia_status USING btree (scope, target, id DESC);
create policy runtime on public.julia_status as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.julia_status to service_role;
grant delete, insert, select, update on public.julia_status to whats_agents_runtime;

create table public.kept_spent (
  id uuid not null,
  tenant_id text default 'default'::text not null,
  created_at timestamp with time zone default now() not null,
  constraint kept_spent_pkey PRIMARY KEY (id)
);
alter table public.kept_spent enable row level security;
CREATE INDEX kept_spent_age ON public.kept_spent USING btree (created_at);
create policy runtime on public.kept_spent as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.kept_spent to service_role;
grant delete, insert, select, update on public.kept_spent to whats_agents_runtime;

create table public.knowledge (
  id bigint generated always as identity not null,
  tenant_id text not null,
  name text not null,
  kind text not null,
  sha256 text not null,
  bytes integer not null,
  pages integer,
  chars integer not null,
  added_by text not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint knowledge_pkey PRIMARY KEY (id),
  constraint knowledge_tenant_id_name_key UNIQUE (tenant_id, name),
  constraint knowledge_kind_check CHECK ((kind = ANY (ARRAY['md'::text, 'txt'::text, 'pdf'::text, 'docx'::text, 'csv'::text]))),
  constraint knowledge_name_check CHECK (((name <> ''::text) AND (length(name) <= 200))),
  constraint knowledge_sha256_check CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text))
);
alter table public.knowledge enable row level security;
create policy runtime on public.knowledge as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.knowledge to service_role;
grant delete, insert, select, update on public.knowledge to whats_agents_runtime;

create table public.knowledge_chunks (
  id bigint generated always as identity not null,
  tenant_id text not null,
  knowledge_id bigint not null,
  "position" integer not null,
  heading text not null,
  text text not null,
  sha256 text not null,
  words text[] not null,
  search tsvector not null,
  constraint knowledge_chunks_pkey PRIMARY KEY (id),
  constraint knowledge_chunks_knowledge_id_position_key UNIQUE (knowledge_id, "position")
);
alter table public.knowledge_chunks enable row level security;
CREATE INDEX knowledge_chunks_search ON public.knowledge_chunks USING gin (search);
CREATE INDEX knowledge_chunks_tenant ON public.knowledge_chunks USING btree (tenant_id);
create policy runtime on public.knowledge_chunks as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.knowledge_chunks to service_role;
grant delete, insert, select, update on public.knowledge_chunks to whats_agents_runtime;

create table public.media (
  id bigint generated always as identity not null,
  tenant_id text not null,
  sha256 text not null,
  kind text not null,
  bytes integer not null,
  words text,
  reader text,
  calls integer default 0 not null,
  seconds numeric default 0 not null,
  lease_until timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  read_at timestamp with time zone,
  constraint media_pkey PRIMARY KEY (id),
  constraint media_tenant_id_sha256_key UNIQUE (tenant_id, sha256),
  constraint media_kind_check CHECK ((kind = ANY (ARRAY['audio'::text, 'image'::text, 'document'::text]))),
  constraint media_sha256_check CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text))
);
alter table public.media enable row level security;
CREATE INDEX media_age ON public.media USING brin (created_at);
create policy runtime on public.media as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.media to service_role;
grant delete, insert, select, update on public.media to whats_agents_runtime;

create table public.media_waits (
  message_id bigint not null,
  tenant_id text not null,
  conversation_id bigint not null,
  attempts integer not null,
  reason text not null,
  next_at timestamp with time zone,
  updated_at timestamp with time zone default now() not null,
  constraint media_waits_pkey PRIMARY KEY (message_id)
);
alter table public.media_waits enable row level security;
CREATE INDEX media_waits_conversation ON public.media_waits USING btree (conversation_id);
CREATE INDEX media_waits_due ON public.media_waits USING btree (next_at) WHERE (next_at IS NOT NULL);
create policy runtime on public.media_waits as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.media_waits to service_role;
grant delete, insert, select, update on public.media_waits to whats_agents_runtime;

create table public.messages (
  id bigint generated always as identity not null,
  tenant_id text not null,
  instance_id bigint not null,
  conversation_id bigint not null,
  seq bigint not null,
  direction text not null,
  author text not null,
  type text default 'text'::text not null,
  status text not null,
  reason text,
  text text not null,
  typed text,
  meaning jsonb,
  media jsonb,
  provider_id text,
  wire_id text,
  provider_at timestamp with time zone not null,
  quoted_id text,
  quoted_text text,
  edited_at timestamp with time zone,
  deleted_at timestamp with time zone,
  original_text text,
  seen jsonb,
  wordless boolean default false not null,
  turn_id bigint,
  refused_by text[],
  correlation_id text,
  created_at timestamp with time zone default now() not null,
  kind text,
  priority smallint,
  part smallint,
  typing_ms integer default 0 not null,
  typing_until timestamp with time zone,
  due_at timestamp with time zone,
  goes_at timestamp with time zone,
  expires_at timestamp with time zone,
  attempts integer default 0 not null,
  claim bigint default 0 not null,
  lease_until timestamp with time zone,
  claimed_at timestamp with time zone,
  sent_to text,
  addressee text,
  slot_at timestamp with time zone,
  looks integer default 0 not null,
  delivered_at timestamp with time zone,
  read_at timestamp with time zone,
  error_class text,
  first_contact boolean default false not null,
  bypass text,
  written_by text,
  campaign_id text,
  idempotency_key text,
  duplicate_of bigint,
  constraint messages_pkey PRIMARY KEY (id),
  constraint messages_author_check CHECK ((author = ANY (ARRAY['contact'::text, 'agent'::text, 'human'::text, 'system'::text, 'automatic'::text]))),
  constraint messages_bypass_check CHECK ((btrim(bypass) <> ''::text)),
  constraint messages_direction_check CHECK ((direction = ANY (ARRAY['in'::text, 'out'::text]))),
  constraint messages_kind_check CHECK ((kind = ANY (ARRAY['reply'::text, 'handoff'::text, 'follow_up'::text, 'notification'::text, 'campaign'::text, 'prospecting'::text, 'manual'::text, 'operator'::text, 'transactional'::text]))),
  constraint messages_out_kind CHECK ((((direction = 'out'::text) AND (author <> ALL (ARRAY['human'::text, 'automatic'::text]))) = (kind IS NOT NULL))),
  constraint messages_state CHECK (
CASE direction
    WHEN 'in'::text THEN (status = ANY (ARRAY['received'::text, 'answered'::text, 'skipped'::text, 'handed_over'::text]))
    ELSE (status = ANY (ARRAY['draft'::text, 'queued'::text, 'sending'::text, 'sent'::text, 'delivered'::text, 'read'::text, 'failed'::text, 'blocked'::text, 'deduped'::text, 'expired'::text, 'cancelled'::text, 'uncertain'::text, 'unproven'::text]))
END)
) with (fillfactor=75);
alter table public.messages enable row level security;
CREATE INDEX messages_commands ON public.messages USING btree (created_at) WHERE (meaning ? 'command'::text);
CREATE INDEX messages_day ON public.messages USING brin (created_at);
CREATE INDEX messages_duplicates ON public.messages USING btree (duplicate_of) WHERE (duplicate_of IS NOT NULL);
CREATE INDEX messages_files ON public.messages USING btree (conversation_id, created_at) WHERE (media ? 'sha256'::text);
CREATE INDEX messages_media ON public.messages USING btree (tenant_id, ((media ->> 'sha256'::text))) WHERE (media ? 'sha256'::text);
CREATE INDEX messages_own_words ON public.messages USING btree (instance_id, ((meaning ->> 'own_words'::text))) WHERE ((kind IS NULL) AND (meaning ? 'own_words'::text));
CREATE INDEX messages_proactive ON public.messages USING btree (tenant_id, id) WHERE (kind <> ALL (ARRAY['reply'::text, 'handoff'::text]));
CREATE INDEX messages_tenant ON public.messages USING btree (tenant_id, id);
CREATE INDEX messages_turn ON public.messages USING btree (turn_id) WHERE (turn_id IS NOT NULL);
CREATE UNIQUE INDEX messages_idempotency ON public.messages USING btree (tenant_id, ((kind = 'operator'::text)), idempotency_key) WHERE (idempotency_key IS NOT NULL);
CREATE UNIQUE INDEX messages_provider ON public.messages USING btree (instance_id, provider_id, conversation_id) WHERE (provider_id IS NOT NULL);
CREATE UNIQUE INDEX messages_seq ON public.messages USING btree (conversation_id, seq);
CREATE UNIQUE INDEX messages_wire ON public.messages USING btree (instance_id, wire_id) WHERE ((wire_id IS NOT NULL) AND (provider_id IS NULL));
create policy runtime on public.messages as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.messages to service_role;
grant delete, insert, select, update on public.messages to whats_agents_runtime;

create table public.model_calls (
  id bigint generated always as identity not null,
  tenant_id text not null,
  turn_id bigint,
  media_id bigint,
  model text not null,
  outcome text not null,
  ms integer not null,
  input_tokens integer default 0 not null,
  output_tokens integer default 0 not null,
  cache_read_tokens integer default 0 not null,
  cache_write_tokens integer default 0 not null,
  thinking_tokens integer default 0 not null,
  cost_usd numeric(14,8),
  estimated boolean default false not null,
  detail text,
  cache_miss text,
  created_at timestamp with time zone default now() not null,
  constraint model_calls_pkey PRIMARY KEY (id)
);
alter table public.model_calls enable row level security;
CREATE INDEX model_calls_media ON public.model_calls USING btree (media_id) WHERE (media_id IS NOT NULL);
CREATE INDEX model_calls_turn ON public.model_calls USING btree (turn_id);
create policy runtime on public.model_calls as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.model_calls to service_role;
grant delete, insert, select, update on public.model_calls to whats_agents_runtime;

create table public.notice_templates (
  tenant_id text not null,
  type text not null,
  text text,
  enabled boolean default true not null,
  updated_by text not null,
  updated_at timestamp with time zone not null,
  constraint notice_templates_pkey PRIMARY KEY (tenant_id, type)
);
alter table public.notice_templates enable row level security;
create policy runtime on public.notice_templates as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.notice_templates to service_role;
grant delete, insert, select, update on public.notice_templates to whats_agents_runtime;

create table public.notices (
  id bigint generated always as identity not null,
  tenant_id text not null,
  key text not null,
  kind text not null,
  text text not null,
  urgent boolean not null,
  about text,
  not_manager boolean default false not null,
  status text default 'pending'::text not null,
  channel text,
  attempts integer default 0 not null,
  claim bigint default 0 not null,
  due_at timestamp with time zone not null,
  error text,
  message_id bigint,
  created_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  constraint notices_pkey PRIMARY KEY (id),
  constraint notices_tenant_id_key_key UNIQUE (tenant_id, key),
  constraint notices_channel_check CHECK ((channel = ANY (ARRAY['slack'::text, 'whatsapp'::text]))),
  constraint notices_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'handed'::text, 'sent'::text, 'failed'::text])))
);
alter table public.notices enable row level security;
CREATE INDEX notices_age ON public.notices USING btree (created_at);
CREATE INDEX notices_due ON public.notices USING btree (due_at) WHERE (status = ANY (ARRAY['pending'::text, 'handed'::text]));
CREATE INDEX notices_message ON public.notices USING btree (message_id) WHERE (message_id IS NOT NULL);
create policy runtime on public.notices as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.notices to service_role;
grant delete, insert, select, update on public.notices to whats_agents_runtime;

create table public.number_days (
  tenant_id text not null,
  instance_id bigint not null,
  day date not null,
  figures jsonb not null,
  constraint number_days_pkey PRIMARY KEY (instance_id, day)
);
alter table public.number_days enable row level security;
CREATE INDEX number_days_tenant ON public.number_days USING btree (tenant_id);
create policy runtime on public.number_days as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.number_days to service_role;
grant delete, insert, select, update on public.number_days to whats_agents_runtime;

create table public.observed (
  tenant_id text not null,
  scope text not null,
  target text not null,
  since timestamp with time zone not null,
  actor text not null,
  reason text,
  constraint observed_pkey PRIMARY KEY (tenant_id, scope, target),
  constraint observed_scope_check CHECK ((scope = ANY (ARRAY['instance'::text, 'agent'::text])))
);
alter table public.observed enable row level security;
create policy runtime on public.observed as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.observed to service_role;
grant delete, insert, select, update on public.observed to whats_agents_runtime;

create table public.on_wire (
  message_id bigint not null,
  tenant_id text not null,
  conversation_id bigint not null,
  instance_id bigint not null,
  kind text not null,
  status text not null,
  lease_until timestamp with time zone,
  due_at timestamp with time zone,
  claimed_at timestamp with time zone,
  slot_at timestamp with time zone,
  first_contact boolean not null,
  campaign_id text,
  constraint on_wire_pkey PRIMARY KEY (message_id)
) with (fillfactor=60, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_cost_delay=0, autovacuum_analyze_threshold=1000, autovacuum_analyze_scale_factor=0.02, vacuum_truncate=false);
alter table public.on_wire enable row level security;
CREATE INDEX on_wire_conversation ON public.on_wire USING btree (conversation_id);
CREATE INDEX on_wire_instance ON public.on_wire USING btree (instance_id);
create policy runtime on public.on_wire as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.on_wire to service_role;
grant delete, insert, select, update on public.on_wire to whats_agents_runtime;

create table public.operator_asks (
  actor text not null,
  place text not null,
  tenant_id text default 'default'::text not null,
  command jsonb not null,
  expires_at timestamp with time zone not null,
  constraint operator_asks_pkey PRIMARY KEY (actor, place)
);
alter table public.operator_asks enable row level security;
create policy runtime on public.operator_asks as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.operator_asks to service_role;
grant delete, insert, select, update on public.operator_asks to whats_agents_runtime;

create table public.opt_outs (
  id bigint generated always as identity not null,
  tenant_id text not null,
  contact_id bigint,
  address_hash text,
  source text not null,
  said_on bigint[] default '{}'::bigint[] not null,
  created_at timestamp with time zone default now() not null,
  revoked_at timestamp with time zone,
  constraint opt_outs_pkey PRIMARY KEY (id),
  constraint opt_outs_check CHECK (((contact_id IS NOT NULL) OR (address_hash IS NOT NULL)))
);
alter table public.opt_outs enable row level security;
CREATE INDEX opt_outs_contact ON public.opt_outs USING btree (contact_id);
CREATE UNIQUE INDEX opt_outs_hash ON public.opt_outs USING btree (tenant_id, address_hash) WHERE ((contact_id IS NULL) AND (revoked_at IS NULL));
CREATE UNIQUE INDEX opt_outs_one ON public.opt_outs USING btree (contact_id) WHERE (revoked_at IS NULL);
create policy runtime on public.opt_outs as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.opt_outs to service_role;
grant delete, insert, select, update on public.opt_outs to whats_agents_runtime;

create table public.order_notices (
  id bigint generated always as identity not null,
  tenant_id text not null,
  type text not null,
  reference text not null,
  phone text not null,
  data jsonb not null,
  text text not null,
  fingerprint text not null,
  outcome text not null,
  message_id bigint,
  duplicate_of bigint,
  resend_of bigint,
  test boolean default false not null,
  asked_by text not null,
  created_at timestamp with time zone not null,
  constraint order_notices_pkey PRIMARY KEY (id),
  constraint order_notices_outcome_check CHECK ((outcome = ANY (ARRAY['queued'::text, 'deduped'::text, 'type_disabled'::text]))),
  constraint order_notices_queued CHECK (((outcome = 'queued'::text) = (message_id IS NOT NULL))),
  constraint order_notices_repeat CHECK (((outcome = 'deduped'::text) = (duplicate_of IS NOT NULL)))
);
alter table public.order_notices enable row level security;
CREATE INDEX order_notices_message ON public.order_notices USING btree (message_id) WHERE (message_id IS NOT NULL);
CREATE INDEX order_notices_newest ON public.order_notices USING btree (tenant_id, id);
CREATE INDEX order_notices_phone ON public.order_notices USING btree (tenant_id, phone, id);
CREATE INDEX order_notices_reference ON public.order_notices USING btree (tenant_id, reference, id);
CREATE INDEX order_notices_repeats ON public.order_notices USING btree (duplicate_of) WHERE (duplicate_of IS NOT NULL);
CREATE INDEX order_notices_resends ON public.order_notices USING btree (resend_of) WHERE (resend_of IS NOT NULL);
CREATE UNIQUE INDEX order_notices_once ON public.order_notices USING btree (tenant_id, fingerprint) WHERE ((outcome = 'queued'::text) AND (resend_of IS NULL) AND (NOT test));
create policy runtime on public.order_notices as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.order_notices to service_role;
grant delete, insert, select, update on public.order_notices to whats_agents_runtime;

create table public.outbox (
  message_id bigint not null,
  tenant_id text not null,
  conversation_id bigint not null,
  instance_id bigint not null,
  priority smallint,
  kind text not null,
  due_at timestamp with time zone,
  urgent_at timestamp with time zone,
  reason text,
  expires_at timestamp with time zone,
  campaign_id text,
  constraint outbox_pkey PRIMARY KEY (message_id)
) with (fillfactor=70, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_cost_delay=0, autovacuum_analyze_threshold=1000, autovacuum_analyze_scale_factor=0.02, vacuum_truncate=false);
alter table public.outbox enable row level security;
CREATE INDEX outbox_campaign ON public.outbox USING btree (tenant_id, campaign_id) WHERE (campaign_id IS NOT NULL);
CREATE INDEX outbox_lane ON public.outbox USING btree (conversation_id, priority, message_id);
CREATE INDEX outbox_replies ON public.outbox USING btree (instance_id) WHERE (kind = ANY (ARRAY['reply'::text, 'handoff'::text]));
CREATE INDEX outbox_waiting ON public.outbox USING btree (instance_id, priority, urgent_at) WHERE (kind <> ALL (ARRAY['reply'::text, 'handoff'::text]));
create policy runtime on public.outbox as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.outbox to service_role;
grant delete, insert, select, update on public.outbox to whats_agents_runtime;

create table public.process_status (
  id text not null,
  tenant_id text default 'default'::text not null,
  mode text not null,
  version text not null,
  started_at timestamp with time zone not null,
  seen_at timestamp with time zone not null,
  breakers jsonb default '[]'::jsonb not null,
  queues jsonb default '{}'::jsonb not null,
  figures jsonb default '{}'::jsonb not null,
  constraint process_status_pkey PRIMARY KEY (id),
  constraint process_status_mode_check CHECK ((mode = ANY (ARRAY['api'::text, 'worker'::text, 'scheduler'::text, 'all'::text])))
);
alter table public.process_status enable row level security;
create policy runtime on public.process_status as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.process_status to service_role;
grant delete, insert, select, update on public.process_status to whats_agents_runtime;

create table public.reminders (
  id bigint generated always as identity not null,
  tenant_id text not null,
  conversation_id bigint not null,
  turn_id bigint,
  about text not null,
  words text not null,
  due_at timestamp with time zone not null,
  event_at timestamp with time zone,
  status text default 'waiting'::text not null,
  reason text,
  message_id bigint,
  created_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  constraint reminders_pkey PRIMARY KEY (id),
  constraint reminders_status_check CHECK ((status = ANY (ARRAY['waiting'::text, 'queued'::text, 'cancelled'::text])))
);
alter table public.reminders enable row level security;
CREATE INDEX reminders_conversation ON public.reminders USING btree (conversation_id);
CREATE INDEX reminders_due ON public.reminders USING btree (due_at) WHERE (status = 'waiting'::text);
CREATE INDEX reminders_message ON public.reminders USING btree (message_id) WHERE (message_id IS NOT NULL);
CREATE INDEX reminders_tenant ON public.reminders USING btree (tenant_id, id);
CREATE INDEX reminders_turn ON public.reminders USING btree (turn_id) WHERE (turn_id IS NOT NULL);
CREATE UNIQUE INDEX reminders_once ON public.reminders USING btree (conversation_id, due_at, about) WHERE (status = 'waiting'::text);
create policy runtime on public.reminders as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.reminders to service_role;
grant delete, insert, select, update on public.reminders to whats_agents_runtime;

create table public.schema_migrations (
  name text not null,
  checksum text not null,
  applied_at timestamp with time zone default now() not null,
  constraint schema_migrations_pkey PRIMARY KEY (name)
);
alter table public.schema_migrations enable row level security;

create table public.sessions (
  hash text not null,
  tenant_id text not null,
  user_id bigint not null,
  created_at timestamp with time zone default now() not null,
  used_at timestamp with time zone not null,
  constraint sessions_pkey PRIMARY KEY (hash)
);
alter table public.sessions enable row level security;
CREATE INDEX sessions_tenant ON public.sessions USING btree (tenant_id);
CREATE INDEX sessions_user ON public.sessions USING btree (user_id);
create policy runtime on public.sessions as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.sessions to service_role;
grant delete, insert, select, update on public.sessions to whats_agents_runtime;

create table public.set_aside (
  id bigint generated always as identity not null,
  tenant_id text default 'default'::text not null,
  name text not null,
  provider_id text,
  reason text not null,
  webhooks bigint default 1 not null,
  first_at timestamp with time zone not null,
  last_at timestamp with time zone not null,
  forgotten_at timestamp with time zone,
  constraint set_aside_pkey PRIMARY KEY (id),
  constraint set_aside_reason_check CHECK ((reason = ANY (ARRAY['nobodys_number'::text, 'foreign_uuid'::text, 'secret_of_another'::text, 'only_one_number'::text])))
);
alter table public.set_aside enable row level security;
CREATE UNIQUE INDEX set_aside_who ON public.set_aside USING btree (name, tenant_id, COALESCE(provider_id, ''::text));
create policy runtime on public.set_aside as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.set_aside to service_role;
grant delete, insert, select, update on public.set_aside to whats_agents_runtime;

create table public.sla_minutes (
  minute timestamp with time zone not null,
  tenant_id text default 'default'::text not null,
  up boolean not null,
  constraint sla_minutes_pkey PRIMARY KEY (minute)
);
alter table public.sla_minutes enable row level security;
create policy runtime on public.sla_minutes as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.sla_minutes to service_role;
grant delete, insert, select, update on public.sla_minutes to whats_agents_runtime;

create table public.slack_events (
  event_id text not null,
  tenant_id text default 'default'::text not null,
  created_at timestamp with time zone default now() not null,
  constraint slack_events_pkey PRIMARY KEY (event_id)
);
alter table public.slack_events enable row level security;
CREATE INDEX slack_events_age ON public.slack_events USING btree (created_at);
create policy runtime on public.slack_events as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.slack_events to service_role;
grant delete, insert, select, update on public.slack_events to whats_agents_runtime;

create table public.slot_hours (
  tenant_id text not null,
  instance_id bigint not null,
  hour timestamp with time zone not null,
  kind text not null,
  first_contact boolean not null,
  backend integer not null,
  n integer not null,
  constraint slot_hours_pkey PRIMARY KEY (instance_id, hour, kind, first_contact, backend)
) with (fillfactor=50, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_cost_delay=0, autovacuum_analyze_threshold=1000, autovacuum_analyze_scale_factor=0.02, vacuum_truncate=false);
alter table public.slot_hours enable row level security;
create policy runtime on public.slot_hours as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.slot_hours to service_role;
grant delete, insert, select, update on public.slot_hours to whats_agents_runtime;

create table public.slot_minutes (
  tenant_id text not null,
  instance_id bigint not null,
  reply boolean not null,
  minute timestamp with time zone not null,
  kind text not null,
  first_contact boolean not null,
  backend integer not null,
  n integer not null,
  constraint slot_minutes_pkey PRIMARY KEY (instance_id, reply, minute, kind, first_contact, backend)
) with (fillfactor=50, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_cost_delay=0, autovacuum_analyze_threshold=1000, autovacuum_analyze_scale_factor=0.02, vacuum_truncate=false);
alter table public.slot_minutes enable row level security;
create policy runtime on public.slot_minutes as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.slot_minutes to service_role;
grant delete, insert, select, update on public.slot_minutes to whats_agents_runtime;

create table public.slots (
  tenant_id text not null,
  instance_id bigint not null,
  reply boolean not null,
  slot_at timestamp with time zone not null,
  message_id bigint not null,
  conversation_id bigint not null,
  kind text not null,
  first_contact boolean not null,
  constraint slots_pkey PRIMARY KEY (instance_id, reply, slot_at, message_id)
) with (fillfactor=90);
alter table public.slots enable row level security;
CREATE INDEX slots_contact ON public.slots USING btree (conversation_id, slot_at);
create policy runtime on public.slots as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.slots to service_role;
grant delete, insert, select, update on public.slots to whats_agents_runtime;

create table public.spend_days (
  tenant_id text not null,
  day date not null,
  kind text not null,
  instance_id bigint not null,
  backend integer not null,
  usd numeric(16,8) not null,
  calls integer not null,
  unpriced integer not null,
  units numeric default 0 not null,
  constraint spend_days_pkey PRIMARY KEY (tenant_id, day, kind, instance_id, backend)
) with (fillfactor=50);
alter table public.spend_days enable row level security;
create policy runtime on public.spend_days as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.spend_days to service_role;
grant delete, insert, select, update on public.spend_days to whats_agents_runtime;

create table public.spend_reservations (
  id bigint generated always as identity not null,
  turn_id bigint,
  media_id bigint,
  summary_id bigint,
  tenant_id text not null,
  contact_id bigint,
  instance_id bigint,
  model text not null,
  usd numeric(16,8) not null,
  created_at timestamp with time zone not null,
  constraint spend_reservations_pkey PRIMARY KEY (id),
  constraint spend_reservations_media_id_key UNIQUE (media_id),
  constraint spend_reservations_summary_id_key UNIQUE (summary_id),
  constraint spend_reservations_turn_id_key UNIQUE (turn_id),
  constraint spend_reservations_check CHECK ((num_nonnulls(turn_id, media_id, summary_id) = 1))
) with (fillfactor=70);
alter table public.spend_reservations enable row level security;
create policy runtime on public.spend_reservations as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.spend_reservations to service_role;
grant delete, insert, select, update on public.spend_reservations to whats_agents_runtime;

create table public.subscriptions (
  id bigint generated always as identity not null,
  tenant_id text not null,
  url text not null,
  types jsonb,
  secret text not null,
  previous_until timestamp with time zone,
  status text default 'active'::text not null,
  cursor bigint not null,
  failures integer default 0 not null,
  failing_since timestamp with time zone,
  last_fault text,
  due_at timestamp with time zone default '-infinity'::timestamp with time zone not null,
  claim bigint default 0 not null,
  worker text,
  lease_until timestamp with time zone,
  delivered_at timestamp with time zone,
  created_by text not null,
  created_at timestamp with time zone not null,
  constraint subscriptions_pkey PRIMARY KEY (id),
  constraint subscriptions_status_check CHECK ((status = ANY (ARRAY['active'::text, 'disabled'::text]))),
  constraint subscriptions_types_check CHECK ((jsonb_typeof(types) = 'array'::text))
);
alter table public.subscriptions enable row level security;
CREATE INDEX subscriptions_tenant ON public.subscriptions USING btree (tenant_id, id);
create policy runtime on public.subscriptions as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.subscriptions to service_role;
grant delete, insert, select, update on public.subscriptions to whats_agents_runtime;

create table public.summaries (
  id bigint generated always as identity not null,
  tenant_id text not null,
  conversation_id bigint not null,
  through_seq bigint not null,
  words text,
  model text,
  attempts integer default 0 not null,
  lease_until timestamp with time zone,
  created_at timestamp with time zone not null,
  made_at timestamp with time zone,
  constraint summaries_pkey PRIMARY KEY (id),
  constraint summaries_conversation_id_through_seq_key UNIQUE (conversation_id, through_seq)
);
alter table public.summaries enable row level security;
CREATE INDEX summaries_tenant ON public.summaries USING btree (tenant_id);
create policy runtime on public.summaries as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.summaries to service_role;
grant delete, insert, select, update on public.summaries to whats_agents_runtime;

create table public.tenant_secrets (
  tenant_id text not null,
  name text not null,
  sealed text not null,
  updated_by text not null,
  updated_at timestamp with time zone default now() not null,
  constraint tenant_secrets_pkey PRIMARY KEY (tenant_id, name),
  constraint tenant_secrets_name_check CHECK ((name ~ '^[A-Z][A-Z0-9_]{1,39}$'::text))
);
alter table public.tenant_secrets enable row level security;
create policy runtime on public.tenant_secrets as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.tenant_secrets to service_role;
grant delete, insert, select, update on public.tenant_secrets to whats_agents_runtime;

create table public.tenants (
  id text not null,
  slug text generated always as (id) stored not null,
  name text not null,
  proactive text default 'all'::text not null,
  settings jsonb default '{}'::jsonb not null,
  knowledge_revision integer default 0 not null,
  created_at timestamp with time zone default now() not null,
  constraint tenants_pkey PRIMARY KEY (id),
  constraint tenants_slug_key UNIQUE (slug),
  constraint tenants_id_check CHECK ((id ~ '^[a-z0-9][a-z0-9-]{0,39}$'::text)),
  constraint tenants_proactive_check CHECK ((proactive = ANY (ARRAY['all'::text, 'no_campaigns'::text, 'none'::text])))
);
alter table public.tenants enable row level security;
create policy runtime on public.tenants as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant insert, select, update on public.tenants to service_role;
grant insert, select, update on public.tenants to whats_agents_runtime;

create table public.tokens (
  id text not null,
  tenant_id text not null,
  sub text not null,
  role text not null,
  issued_by text,
  expires_at timestamp with time zone not null,
  used_at timestamp with time zone,
  revoked_at timestamp with time zone,
  revoked_by text,
  created_at timestamp with time zone default now() not null,
  constraint tokens_pkey PRIMARY KEY (id),
  constraint tokens_id_check CHECK ((id ~ '^[A-Za-z0-9_-]{8,64}$'::text))
);
alter table public.tokens enable row level security;
CREATE INDEX tokens_age ON public.tokens USING btree (expires_at);
CREATE INDEX tokens_tenant ON public.tokens USING btree (tenant_id, created_at);
create policy runtime on public.tokens as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.tokens to service_role;
grant delete, insert, select, update on public.tokens to whats_agents_runtime;

create table public.tool_calls (
  id bigint generated always as identity not null,
  tenant_id text not null,
  turn_id bigint not null,
  conversation_id bigint not null,
  name text not null,
  input jsonb not null,
  output text not null,
  ok boolean not null,
  ms integer not null,
  found jsonb,
  cost_usd numeric,
  created_at timestamp with time zone default now() not null,
  constraint tool_calls_pkey PRIMARY KEY (id)
);
alter table public.tool_calls enable row level security;
CREATE INDEX tool_calls_conversation ON public.tool_calls USING btree (conversation_id);
CREATE INDEX tool_calls_turn ON public.tool_calls USING btree (turn_id);
create policy runtime on public.tool_calls as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.tool_calls to service_role;
grant delete, insert, select, update on public.tool_calls to whats_agents_runtime;

create table public.tool_writes (
  id bigint generated always as identity not null,
  tenant_id text not null,
  tool_id bigint not null,
  conversation_id bigint not null,
  turn_id bigint not null,
  key uuid default gen_random_uuid() not null,
  definition jsonb not null,
  input jsonb not null,
  request jsonb not null,
  amount numeric,
  risks text[] default '{}'::text[] not null,
  status text not null,
  reason text,
  attempts integer default 0 not null,
  claim integer default 0 not null,
  worker text,
  lease_until timestamp with time zone,
  due_at timestamp with time zone not null,
  sent_at timestamp with time zone,
  answer text,
  created_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  constraint tool_writes_pkey PRIMARY KEY (id),
  constraint tool_writes_key_key UNIQUE (key),
  constraint tool_writes_status_check CHECK ((status = ANY (ARRAY['waiting'::text, 'queued'::text, 'sending'::text, 'done'::text, 'failed'::text, 'uncertain'::text, 'refused'::text, 'expired'::text])))
);
alter table public.tool_writes enable row level security;
CREATE INDEX tool_writes_conversation ON public.tool_writes USING btree (conversation_id, created_at);
CREATE INDEX tool_writes_tool ON public.tool_writes USING btree (tool_id, created_at);
CREATE INDEX tool_writes_under_way ON public.tool_writes USING btree (due_at) WHERE (status = ANY (ARRAY['queued'::text, 'sending'::text]));
create policy runtime on public.tool_writes as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.tool_writes to service_role;
grant delete, insert, select, update on public.tool_writes to whats_agents_runtime;

create table public.turns (
  id bigint generated always as identity not null,
  tenant_id text not null,
  conversation_id bigint not null,
  agent_id bigint,
  status text default 'open'::text not null,
  reason text,
  fence bigint not null,
  lease_until timestamp with time zone not null,
  worker text not null,
  inbound_seq bigint not null,
  model text,
  route text,
  input_tokens integer default 0 not null,
  output_tokens integer default 0 not null,
  cache_read_tokens integer default 0 not null,
  cache_write_tokens integer default 0 not null,
  thinking_tokens integer default 0 not null,
  cost_usd numeric(14,8) default 0 not null,
  unpriced_calls integer default 0 not null,
  verdict text,
  prompt_hash text,
  transcript jsonb,
  correlation_id text,
  started_at timestamp with time zone default now() not null,
  ended_at timestamp with time zone,
  constraint turns_pkey PRIMARY KEY (id),
  constraint turns_route_check CHECK ((route = ANY (ARRAY['plain'::text, 'sentiment'::text, 'objection'::text, 'negotiation'::text, 'long_talk'::text]))),
  constraint turns_status_check CHECK ((status = ANY (ARRAY['open'::text, 'committed'::text, 'superseded'::text, 'suppressed'::text, 'skipped'::text, 'handed_over'::text, 'failed'::text, 'expired'::text, 'deferred'::text])))
);
alter table public.turns enable row level security;
CREATE INDEX turns_conversation ON public.turns USING btree (conversation_id, started_at);
CREATE INDEX turns_day ON public.turns USING brin (started_at);
CREATE INDEX turns_transcript ON public.turns USING btree (ended_at) WHERE (transcript IS NOT NULL);
CREATE UNIQUE INDEX turns_one_open ON public.turns USING btree (conversation_id) WHERE (status = 'open'::text);
create policy runtime on public.turns as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.turns to service_role;
grant delete, insert, select, update on public.turns to whats_agents_runtime;

create table public.user_passwords (
  id bigint generated always as identity not null,
  tenant_id text not null,
  user_id bigint not null,
  hash text,
  temporary boolean not null,
  asked_by text not null,
  created_at timestamp with time zone default now() not null,
  constraint user_passwords_pkey PRIMARY KEY (id)
);
alter table public.user_passwords enable row level security;
CREATE INDEX user_passwords_tenant ON public.user_passwords USING btree (tenant_id);
CREATE INDEX user_passwords_user ON public.user_passwords USING btree (user_id, id);
create policy runtime on public.user_passwords as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.user_passwords to service_role;
grant delete, insert, select, update on public.user_passwords to whats_agents_runtime;

create table public.users (
  id bigint generated always as identity not null,
  tenant_id text not null,
  email text not null,
  role text not null,
  failures integer default 0 not null,
  locked_until timestamp with time zone,
  logged_in_at timestamp with time zone,
  disabled_at timestamp with time zone,
  disabled_by text,
  created_by text not null,
  created_at timestamp with time zone default now() not null,
  constraint users_pkey PRIMARY KEY (id),
  constraint users_email_key UNIQUE (email),
  constraint users_email_check CHECK ((email = lower(email))),
  constraint users_role_check CHECK ((role = ANY (ARRAY['sender'::text, 'operator'::text, 'admin'::text])))
);
alter table public.users enable row level security;
CREATE INDEX users_tenant ON public.users USING btree (tenant_id);
create policy runtime on public.users as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.users to service_role;
grant delete, insert, select, update on public.users to whats_agents_runtime;

create table public.webhook_events (
  id bigint generated always as identity not null,
  tenant_id text default 'default'::text not null,
  instance text,
  event text,
  body jsonb not null,
  results jsonb,
  request_id text,
  posted_by jsonb default '{"tenant": "default"}'::jsonb not null,
  aside_id bigint,
  ignored text[],
  received_at timestamp with time zone default now() not null,
  constraint webhook_events_pkey PRIMARY KEY (id)
);
alter table public.webhook_events enable row level security;
CREATE INDEX webhook_events_age ON public.webhook_events USING btree (received_at);
CREATE INDEX webhook_events_aside ON public.webhook_events USING btree (aside_id, id) WHERE (aside_id IS NOT NULL);
CREATE INDEX webhook_events_ignored ON public.webhook_events USING btree (COALESCE(instance, ''::text), (ignored[1]), received_at) WHERE (ignored IS NOT NULL);
create policy runtime on public.webhook_events as permissive for all to service_role, whats_agents_runtime using (true) with check (true);
grant delete, insert, select, update on public.webhook_events to service_role;
grant delete, insert, select, update on public.webhook_events to whats_agents_runtime;

alter table public.agents add constraint agents_replaced_fkey FOREIGN KEY (replaced) REFERENCES public.agents(id);
alter table public.agents add constraint agents_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.alerts add constraint alerts_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.approvals add constraint approvals_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES public.conversations(id);
alter table public.approvals add constraint approvals_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.approvals add constraint approvals_write_id_fkey FOREIGN KEY (write_id) REFERENCES public.tool_writes(id);
alter table public.audit_log add constraint audit_log_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.bot_suspicions add constraint bot_suspicions_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES public.conversations(id);
alter table public.bot_suspicions add constraint bot_suspicions_message_id_fkey FOREIGN KEY (message_id) REFERENCES public.messages(id) ON DELETE CASCADE;
alter table public.bot_suspicions add constraint bot_suspicions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.breaker_resets add constraint breaker_resets_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.campaign_recipients add constraint campaign_recipients_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES public.campaigns(id);
alter table public.campaign_recipients add constraint campaign_recipients_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES public.contacts(id);
alter table public.campaign_recipients add constraint campaign_recipients_message_id_fkey FOREIGN KEY (message_id) REFERENCES public.messages(id) ON DELETE SET NULL;
alter table public.campaign_recipients add constraint campaign_recipients_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.campaigns add constraint campaigns_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES public.instances(id);
alter table public.campaigns add constraint campaigns_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.circuit_transitions add constraint circuit_transitions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.contact_addresses add constraint contact_addresses_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES public.contacts(id);
alter table public.contact_addresses add constraint contact_addresses_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES public.instances(id);
alter table public.contact_addresses add constraint contact_addresses_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.contact_facts add constraint contact_facts_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES public.contacts(id) ON DELETE CASCADE;
alter table public.contact_facts add constraint contact_facts_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.contact_merges add constraint contact_merges_kept_fkey FOREIGN KEY (kept) REFERENCES public.contacts(id);
alter table public.contact_merges add constraint contact_merges_merged_fkey FOREIGN KEY (merged) REFERENCES public.contacts(id);
alter table public.contact_merges add constraint contact_merges_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.contact_tags add constraint contact_tags_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES public.contacts(id);
alter table public.contact_tags add constraint contact_tags_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.contacts add constraint contacts_merged_into_fkey FOREIGN KEY (merged_into) REFERENCES public.contacts(id);
alter table public.contacts add constraint contacts_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.conversations add constraint conversations_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES public.contacts(id);
alter table public.conversations add constraint conversations_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES public.instances(id);
alter table public.conversations add constraint conversations_merged_into_fkey FOREIGN KEY (merged_into) REFERENCES public.conversations(id);
alter table public.conversations add constraint conversations_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.daily_counts add constraint daily_counts_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.directives add constraint directives_document_id_fkey FOREIGN KEY (document_id) REFERENCES public.documents(id);
alter table public.directives add constraint directives_replaces_fkey FOREIGN KEY (replaces) REFERENCES public.directives(id);
alter table public.directives add constraint directives_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.documents add constraint documents_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.early_updates add constraint early_updates_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES public.instances(id);
alter table public.early_updates add constraint early_updates_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.embeddings add constraint embeddings_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.erasures add constraint erasures_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.event_feeds add constraint event_feeds_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.events add constraint events_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.follow_up_ladders add constraint follow_up_ladders_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.follow_ups add constraint follow_ups_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES public.conversations(id);
alter table public.follow_ups add constraint follow_ups_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.forged_messages add constraint forged_messages_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES public.instances(id);
alter table public.forged_messages add constraint forged_messages_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.former_phones add constraint former_phones_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES public.contacts(id);
alter table public.former_phones add constraint former_phones_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.handoffs add constraint handoffs_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES public.conversations(id);
alter table public.handoffs add constraint handoffs_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.handoffs add constraint handoffs_turn_id_fkey FOREIGN KEY (turn_id) REFERENCES public.turns(id);
alter table public.holidays add constraint holidays_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.http_tools add constraint http_tools_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.installation add constraint installation_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.instance_events add constraint instance_events_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES public.instances(id);
alter table public.instance_events add constraint instance_events_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.instances add constraint instances_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES public.agents(id);
alter table public.instances add constraint instances_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.job_runs add constraint job_runs_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.julia_status add constraint julia_status_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.kept_spent add constraint kept_spent_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.knowledge add constraint knowledge_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.knowledge_chunks add constraint knowledge_chunks_knowledge_id_fkey FOREIGN KEY (knowledge_id) REFERENCES public.knowledge(id) ON DELETE CASCADE;
alter table public.knowledge_chunks add constraint knowledge_chunks_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.media add constraint media_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.media_waits add constraint media_waits_message_id_fkey FOREIGN KEY (message_id) REFERENCES public.messages(id) ON DELETE CASCADE;
alter table public.media_waits add constraint media_waits_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.messages add constraint messages_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES public.conversations(id);
alter table public.messages add constraint messages_duplicate_of_fkey FOREIGN KEY (duplicate_of) REFERENCES public.messages(id) ON DELETE SET NULL;
alter table public.notice_templates add constraint notice_templates_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.notices add constraint notices_message_id_fkey FOREIGN KEY (message_id) REFERENCES public.messages(id);
alter table public.notices add constraint notices_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.number_days add constraint number_days_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES public.instances(id);
alter table public.number_days add constraint number_days_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.observed add constraint observed_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.operator_asks add constraint operator_asks_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.opt_outs add constraint opt_outs_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES public.contacts(id);
alter table public.opt_outs add constraint opt_outs_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.order_notices add constraint order_notices_duplicate_of_fkey FOREIGN KEY (duplicate_of) REFERENCES public.order_notices(id) ON DELETE CASCADE;
alter table public.order_notices add constraint order_notices_message_id_fkey FOREIGN KEY (message_id) REFERENCES public.messages(id) ON DELETE CASCADE;
alter table public.order_notices add constraint order_notices_resend_of_fkey FOREIGN KEY (resend_of) REFERENCES public.order_notices(id) ON DELETE CASCADE;
alter table public.order_notices add constraint order_notices_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.process_status add constraint process_status_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.reminders add constraint reminders_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES public.conversations(id);
alter table public.reminders add constraint reminders_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.reminders add constraint reminders_turn_id_fkey FOREIGN KEY (turn_id) REFERENCES public.turns(id);
alter table public.sessions add constraint sessions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.sessions add constraint sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);
alter table public.set_aside add constraint set_aside_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.sla_minutes add constraint sla_minutes_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.slack_events add constraint slack_events_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.subscriptions add constraint subscriptions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.summaries add constraint summaries_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES public.conversations(id) ON DELETE CASCADE;
alter table public.summaries add constraint summaries_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.tenant_secrets add constraint tenant_secrets_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.tokens add constraint tokens_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.tool_calls add constraint tool_calls_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES public.conversations(id);
alter table public.tool_writes add constraint tool_writes_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES public.conversations(id);
alter table public.tool_writes add constraint tool_writes_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.tool_writes add constraint tool_writes_tool_id_fkey FOREIGN KEY (tool_id) REFERENCES public.http_tools(id);
alter table public.turns add constraint turns_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES public.conversations(id);
alter table public.user_passwords add constraint user_passwords_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.user_passwords add constraint user_passwords_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);
alter table public.users add constraint users_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
alter table public.webhook_events add constraint webhook_events_aside_id_fkey FOREIGN KEY (aside_id) REFERENCES public.set_aside(id);
alter table public.webhook_events add constraint webhook_events_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);

create type public.heard_event as (
  n bigint,
  tenant_id text,
  instance_id bigint,
  kind text,
  from_me boolean,
  event jsonb,
  provider_id text,
  pn text,
  lid text,
  alt_pn text,
  alt_lid text,
  plain boolean,
  for_all boolean,
  request_id text
);

CREATE OR REPLACE FUNCTION public.add_directive(p_tenant text, p_directive jsonb, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_now timestamptz := clock(p_now);
  v_scope text := p_directive ->> 'scope';
  v_target text := coalesce(p_directive ->> 'target', '');
  v_ends timestamptz := (p_directive ->> 'ends_at')::timestamptz;
  v_id bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended('directives/' || p_tenant, 7));
  if v_scope = 'contact' and not exists (select from contacts where tenant_id = p_tenant and id::text = v_target
      and erased_at is null)
    or v_scope = 'agent' and not exists (select from agents where slug = v_target
      and (tenant_id = p_tenant or tenant_id = 'default')) then
    return jsonb_build_object('outcome', 'unknown');
  end if;
  update directives set ends_at = v_ends where tenant_id = p_tenant and scope = v_scope and target = v_target
    and text = p_directive ->> 'text' and status = 'active' returning id into v_id;
  if found then return jsonb_build_object('outcome', 'same', 'id', v_id); end if;
  if directives_in_force(p_tenant, v_now) >= 40 then return jsonb_build_object('outcome', 'many'); end if;
  insert into directives (tenant_id, scope, target, text, status, ends_at, created_by, created_at, decided_by,
      decided_at)
    values (p_tenant, v_scope, v_target, p_directive ->> 'text', 'active', v_ends, p_actor, v_now, p_actor, v_now)
    returning id into v_id;
  -- what is said of one contact would outlive its erasure there
  perform record_audit(p_tenant, p_actor, 'directive.add', v_id::text,
    case v_scope when 'contact' then p_directive - 'text' else p_directive end);
  return jsonb_build_object('outcome', 'done', 'id', v_id);
end $function$;
revoke all on function public.add_directive(text,jsonb,text,timestamp with time zone) from public;
grant execute on function public.add_directive(text,jsonb,text,timestamp with time zone) to service_role;
grant execute on function public.add_directive(text,jsonb,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.add_embedding_spend(p_tenant text, p_usd numeric, p_tokens integer)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  perform add_spend(p_tenant, 'embedding', null, p_usd, 1, (p_usd is null)::int, p_tokens, clock_timestamp());
end $function$;
revoke all on function public.add_embedding_spend(text,numeric,integer) from public;
grant execute on function public.add_embedding_spend(text,numeric,integer) to service_role;
grant execute on function public.add_embedding_spend(text,numeric,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.add_notice(p_notice jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  insert into notices (tenant_id, key, kind, text, urgent, about, not_manager, due_at, created_at)
    values (p_notice ->> 'tenant', p_notice ->> 'key', p_notice ->> 'kind', p_notice ->> 'text',
      (p_notice ->> 'urgent')::boolean, p_notice ->> 'about',
      coalesce((p_notice ->> 'not_manager')::boolean, false), clock(p_now), clock(p_now))
    on conflict (tenant_id, key) do nothing;
  return jsonb_build_object('added', found);
end $function$;
revoke all on function public.add_notice(jsonb,timestamp with time zone) from public;
grant execute on function public.add_notice(jsonb,timestamp with time zone) to service_role;
grant execute on function public.add_notice(jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.add_opt_out(p_contact bigint, p_source text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone, p_instance bigint DEFAULT NULL::bigint)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  insert into opt_outs (tenant_id, contact_id, source, said_on, created_at)
    select tenant_id, id, p_source, array_remove(array[p_instance], null), clock(p_now)
      from contacts where id = p_contact on conflict do nothing;
  if not found then
    update opt_outs set said_on = said_on || p_instance where contact_id = p_contact and revoked_at is null
      and p_instance <> all (said_on) and said_on <> '{}';
    return false;
  end if;
  if p_source in ('message', 'agent') then
    insert into audit_log (tenant_id, actor, action, subject, created_at)
      select tenant_id, case p_source when 'message' then 'contact' else p_source end, 'optout.add', 'contact:' || id,
        clock(p_now) from contacts where id = p_contact;
  end if;
  return true;
end $function$;
revoke all on function public.add_opt_out(bigint,text,timestamp with time zone,bigint) from public;
grant execute on function public.add_opt_out(bigint,text,timestamp with time zone,bigint) to service_role;
grant execute on function public.add_opt_out(bigint,text,timestamp with time zone,bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.add_reminder(p_conversation public.conversations, p_turn bigint, p_reminder jsonb, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_many boolean := (select count(*) >= 20 from reminders
  where conversation_id = p_conversation.id and status = 'waiting');
begin
  insert into reminders (tenant_id, conversation_id, turn_id, about, words, due_at, event_at, status, reason,
      created_at, ended_at)
    values (p_conversation.tenant_id, p_conversation.id, p_turn, p_reminder ->> 'about', p_reminder ->> 'words',
      (p_reminder ->> 'due_at')::timestamptz, (p_reminder ->> 'event_at')::timestamptz,
      case when v_many then 'cancelled' else 'waiting' end, case when v_many then 'too_many_reminders' end, p_now,
      case when v_many then p_now end)
    on conflict (conversation_id, due_at, about) where status = 'waiting' do nothing;
end $function$;
revoke all on function public.add_reminder(public.conversations,bigint,jsonb,timestamp with time zone) from public;
grant execute on function public.add_reminder(public.conversations,bigint,jsonb,timestamp with time zone) to service_role;
grant execute on function public.add_reminder(public.conversations,bigint,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.add_spend(p_tenant text, p_kind text, p_instance bigint, p_usd numeric, p_calls integer, p_unpriced integer, p_units numeric, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE sql
AS $function$
  insert into spend_days as s (tenant_id, day, kind, instance_id, backend, usd, calls, unpriced, units)
    values (p_tenant, spend_day(p_now), p_kind, coalesce(p_instance, 0), pg_backend_pid(), coalesce(p_usd, 0), p_calls,
      p_unpriced, p_units)
    on conflict (tenant_id, day, kind, instance_id, backend) do update set usd = s.usd + excluded.usd,
      calls = s.calls + excluded.calls, unpriced = s.unpriced + excluded.unpriced, units = s.units + excluded.units
$function$;
revoke all on function public.add_spend(text,text,bigint,numeric,integer,integer,numeric,timestamp with time zone) from public;
grant execute on function public.add_spend(text,text,bigint,numeric,integer,integer,numeric,timestamp with time zone) to service_role;
grant execute on function public.add_spend(text,text,bigint,numeric,integer,integer,numeric,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.add_subscription(p_tenant text, p_url text, p_types jsonb, p_secret text, p_sealed text, p_most integer, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_id bigint; v_cursor bigint;
begin
  perform from tenants where id = p_tenant for no key update;
  if (select count(*) from subscriptions where tenant_id = p_tenant) >= p_most then
    return jsonb_build_object('outcome', 'full', 'id', null);
  end if;
  perform keep_events(p_tenant);
  -- what is written and was not read yet was before it
  while number_events(p_tenant, 10000) > 0 loop end loop;
  select numbered into v_cursor from event_feeds where tenant_id = p_tenant;
  insert into subscriptions (tenant_id, url, types, secret, cursor, created_by, created_at)
    values (p_tenant, p_url, p_types, p_secret, v_cursor, p_actor, clock(p_now)) returning id into v_id;
  insert into tenant_secrets (tenant_id, name, sealed, updated_by) values (p_tenant, p_secret, p_sealed, p_actor);
  insert into audit_log (tenant_id, actor, action, subject, details, created_at) values (p_tenant, p_actor,
    'subscription.add', v_id::text, jsonb_build_object('url', p_url, 'types', p_types), clock(p_now));
  return jsonb_build_object('outcome', 'added', 'id', v_id);
end $function$;
revoke all on function public.add_subscription(text,text,jsonb,text,text,integer,text,timestamp with time zone) from public;
grant execute on function public.add_subscription(text,text,jsonb,text,text,integer,text,timestamp with time zone) to service_role;
grant execute on function public.add_subscription(text,text,jsonb,text,text,integer,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.add_token(p_token jsonb, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if not exists (select from tenants where id = p_token ->> 'tenant')
    then return jsonb_build_object('outcome', 'unknown_tenant'); end if;
  insert into tokens (id, tenant_id, sub, role, issued_by, expires_at, created_at)
    values (p_token ->> 'id', p_token ->> 'tenant', p_token ->> 'sub', p_token ->> 'role', p_actor,
      (p_token ->> 'expires_at')::timestamptz, clock(p_now));
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_token ->> 'tenant', p_actor, 'token.issue', p_token ->> 'id',
    jsonb_build_object('sub', p_token ->> 'sub', 'role', p_token ->> 'role', 'expires_at', p_token ->> 'expires_at'),
      clock(p_now));
  return jsonb_build_object('outcome', 'added');
end $function$;
revoke all on function public.add_token(jsonb,text,timestamp with time zone) from public;
grant execute on function public.add_token(jsonb,text,timestamp with time zone) to service_role;
grant execute on function public.add_token(jsonb,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.address_hash(p_kind text, p_instance bigint, p_address text)
 RETURNS text
 LANGUAGE sql
 STABLE
AS $function$ select keyed_hash(p_kind || case p_kind when 'lid' then '/' || p_instance else '' end || '/' || case p_kind when 'pn'
  then one_writing(p_address) else p_address end) $function$;
revoke all on function public.address_hash(text,bigint,text) from public;
grant execute on function public.address_hash(text,bigint,text) to service_role;
grant execute on function public.address_hash(text,bigint,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.address_refused(p_contact bigint, p_jid text, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select exists (select from contact_addresses a
    where a.id = address_row(p_contact, p_jid) and a.refused_at > p_now - interval '7 days')
$function$;
revoke all on function public.address_refused(bigint,text,timestamp with time zone) from public;
grant execute on function public.address_refused(bigint,text,timestamp with time zone) to service_role;
grant execute on function public.address_refused(bigint,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.address_row(p_contact bigint, p_jid text)
 RETURNS bigint
 LANGUAGE sql
 STABLE
AS $function$
  select a.id from contact_addresses a where a.contact_id = p_contact and case when p_jid like '%@lid'
    then a.kind = 'lid' and a.address = split_part(p_jid, '@', 1)
    else a.kind = 'pn' and one_writing(a.address) = one_writing(split_part(p_jid, '@', 1)) end order by a.id limit 1
$function$;
revoke all on function public.address_row(bigint,text) from public;
grant execute on function public.address_row(bigint,text) to service_role;
grant execute on function public.address_row(bigint,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.admin_status(p_tenant text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object(
    'now', clock(p_now), 'pauses', pauses(p_tenant),
    'processes', (select coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'mode', p.mode, 'version', p.version,
      'seen_seconds', extract(epoch from clock(p_now) - p.seen_at)) order by p.mode, p.id), '[]')
      from process_status p where p.seen_at > clock(p_now) - interval '1 hour'),
    'instances', (select coalesce(jsonb_agg(jsonb_build_object('name', i.name, 'status', i.status, 'status_at',
      i.status_at, 'seconds', extract(epoch from clock(p_now) - i.status_at),
        'code', i.status_reason, 'paired', i.paired, 'deaf', i.deaf_since is not null and i.status = 'open',
        'held', case when i.held_until > clock(p_now) then i.held_reason end, 'fault', i.gateway_fault,
        'webhook_wrong', is_webhook_wrong(i.name),
        'breaker', breaker_reason(i.name, null, clock(p_now))) order by i.id), '[]')
      from instances i where i.tenant_id = p_tenant),
    'unanswered', (select jsonb_build_object('count', count(*), 'oldest_seconds', extract(epoch
      from clock(p_now) - min(m.created_at)))
      from inbox m where m.tenant_id = p_tenant and not m.command),
    'deferred', (select jsonb_build_object('count', count(*), 'oldest_seconds', extract(epoch
      from clock(p_now) - min(c.deferred_since)), 'reasons', coalesce(jsonb_agg(distinct c.deferred_reason), '[]'))
      from conversations c where c.deferred_until is not null and c.deferred_reason like 'model\_%'
        and c.tenant_id = p_tenant),
    'unheard', unheard_conversations(p_tenant, p_now),
    'media', media_unread(p_tenant, p_now),
    'unplaced', (select count(*) from webhook_events w where w.ignored is not null and w.tenant_id = p_tenant
      and w.received_at > (select clock(p_now)) - interval '1 day' and is_unplaced(w.ignored[1])),
    'outbound', (select jsonb_build_object('due', count(*) filter (where m.due_at <= clock(p_now)), 'later',
      count(*) filter (where m.due_at > clock(p_now))) from outbox m where m.tenant_id = p_tenant)
      || (select jsonb_build_object('sending', count(*) filter (where m.status = 'sending'), 'uncertain',
        count(*) filter (where m.status = 'uncertain')) from on_wire m where m.tenant_id = p_tenant),
    'dead_letters', (select count(*) from dead_sends m where m.tenant_id = p_tenant),
    'with_people', (select jsonb_array_length(list_handoffs(p_tenant, 1000, p_now))))
  from tenants t where t.id = p_tenant
$function$;
revoke all on function public.admin_status(text,timestamp with time zone) from public;
grant execute on function public.admin_status(text,timestamp with time zone) to service_role;
grant execute on function public.admin_status(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.adopt_aside(p_tenant text, p_key text, p_for text, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v set_aside; v_own instances; v_same instances; v_ids bigint[];
begin
  select array_agg(id) into v_ids from (select id from set_aside where (p_tenant = 'default' or tenant_id = p_tenant)
    and case when p_key ~ '^aside:[0-9]{1,15}$' then id = substr(p_key, 7)::bigint else name = p_key end
      order by id for update) a;
  if v_ids is null or (p_tenant <> 'default' and p_for <> p_tenant)
    then return jsonb_build_object('outcome', 'unknown'); end if;
  select * into v from set_aside where id = any (v_ids) order by provider_id is null, id limit 1;
  select * into v_own from instances where name = v.name for no key update;
  if p_tenant <> 'default' and v_own.tenant_id is distinct from p_tenant
    then return jsonb_build_object('outcome', 'unknown'); end if;
  if (select count(distinct provider_id) > 1 or count(distinct tenant_id) > 1 from set_aside where id = any (v_ids))
    then return jsonb_build_object('outcome', 'ambiguous'); end if;
  select * into v_same from instances where provider_id = v.provider_id and name <> v.name for no key update;
  if p_tenant <> 'default' and v_same.tenant_id <> p_tenant then return jsonb_build_object('outcome', 'unknown');
  end if;
  if not exists (select from tenants where id = p_for) then return jsonb_build_object('outcome', 'unknown_tenant');
  end if;
  if v_own.tenant_id <> p_for or v_same.tenant_id <> p_for then return jsonb_build_object('outcome', 'other_tenant');
  end if;
  if v_own.id is null and v_same.id is not null then
    -- what is sealed belongs to the name that it was sealed for
    update instances set name = v.name, evolution_key = null, webhook_secret = null, webhook_secret_previous = null,
      webhook_secret_since = null where id = v_same.id;
  else
    update instances set provider_id = null where id = v_same.id;
    insert into instances (tenant_id, name) values (p_for, v.name) on conflict (name) do nothing;
    update instances set provider_id = coalesce(v.provider_id, provider_id) where name = v.name;
  end if;
  update set_aside set forgotten_at = null where id = any (v_ids);
  -- also to whom it belonged before
  insert into audit_log (tenant_id, actor, action, subject, details, created_at) select tenant, p_actor,
    'instance.adopt', v.name,
    jsonb_build_object('reason', v.reason, 'renamed', case when v_own.id is null then v_same.name end, 'for', p_for),
      clock(p_now) from (select p_for as tenant union select v.tenant_id union select p_tenant) t;
  return jsonb_build_object('outcome', 'adopted', 'name', v.name, 'renamed', case when v_own.id is null
    then v_same.name end, 'aside', to_jsonb(v_ids));
exception when check_violation then return jsonb_build_object('outcome', 'no_name');
end $function$;
revoke all on function public.adopt_aside(text,text,text,text,timestamp with time zone) from public;
grant execute on function public.adopt_aside(text,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.adopt_aside(text,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.adopt_instance(p_tenant text, p_name text, p_provider_id text, p_actor text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v instances;
begin
  if not exists (select from tenants where id = p_tenant) then return jsonb_build_object('outcome', 'unknown_tenant');
  end if;
  insert into instances (tenant_id, name, proactive) values (p_tenant, p_name, true) on conflict (name) do nothing;
  select * into v from instances where name = p_name for no key update;
  if v.tenant_id <> p_tenant then return jsonb_build_object('outcome', 'other_tenant'); end if;
  update instances set provider_id = null where provider_id = p_provider_id and id <> v.id;
  update instances set provider_id = p_provider_id where id = v.id;
  update instances set proactive = true where id = v.id and not proactive
    and not exists (select from instance_events e where e.instance_id = v.id and e.event = 'changed'
      and e.details ? 'proactive');
  insert into audit_log (tenant_id, actor, action, subject) values (p_tenant, p_actor, 'instance.connect', p_name);
  return jsonb_build_object('outcome', 'adopted');
end $function$;
revoke all on function public.adopt_instance(text,text,text,text) from public;
grant execute on function public.adopt_instance(text,text,text,text) to service_role;
grant execute on function public.adopt_instance(text,text,text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.agent_of(p_instance public.instances)
 RETURNS public.agents
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_agent agents;
begin
  if p_instance.agent_id is not null then
    select a.* into v_agent from agents n join agents a on a.tenant_id = n.tenant_id and a.slug = n.slug and a.active
      where n.id = p_instance.agent_id;
  end if;
  if v_agent.id is null then
    select * into v_agent from agents where tenant_id in (p_instance.tenant_id, 'default') and slug = 'default'
      and active order by tenant_id = p_instance.tenant_id desc limit 1;
  end if;
  return v_agent;
end $function$;
revoke all on function public.agent_of(public.instances) from public;
grant execute on function public.agent_of(public.instances) to service_role;
grant execute on function public.agent_of(public.instances) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.agent_version(p_tenant text, p_slug text, p_version integer DEFAULT NULL::integer)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select to_jsonb(a) || jsonb_build_object('replaced', (select r.version from agents r where r.id = a.replaced))
  from agents a
  where a.slug = p_slug and case when p_version is null then a.active and a.tenant_id in (p_tenant, 'default')
    else a.tenant_id = p_tenant and a.version = p_version end
  order by a.tenant_id = p_tenant desc limit 1
$function$;
revoke all on function public.agent_version(text,text,integer) from public;
grant execute on function public.agent_version(text,text,integer) to service_role;
grant execute on function public.agent_version(text,text,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.agent_versions(p_tenant text, p_slug text, p_limit integer)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(v order by v.version desc), '[]') from (
    select a.version, a.active, a.name, a.note, a.created_by, a.created_at, a.published_at,
      (select r.version from agents r where r.id = a.replaced) as replaced
    from agents a where a.tenant_id = p_tenant and a.slug = p_slug order by a.version desc limit p_limit) v
$function$;
revoke all on function public.agent_versions(text,text,integer) from public;
grant execute on function public.agent_versions(text,text,integer) to service_role;
grant execute on function public.agent_versions(text,text,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.alert_snapshot(p_all boolean, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  with unanswered as (
    select m.conversation_id, m.created_at from inbox m order by m.created_at limit 1000
  ), waiting as (
    select u.created_at from unanswered u join conversations c on c.id = u.conversation_id
      join instances i on i.id = c.instance_id
    where pause_reason(c.tenant_id, i.name, c.id, null) is null and c.deferred_until is null
  ), deferred as (
    select c.deferred_since, c.deferred_reason from conversations c join instances i on i.id = c.instance_id
    where c.deferred_until is not null and c.deferred_reason like 'model\_%' and pause_reason(c.tenant_id, i.name, c.id,
      null) is null
  ), due as (
    select m.due_at from outbox m join conversations c on c.id = m.conversation_id
      join instances i on i.id = m.instance_id
    where m.due_at <= (select clock(p_now))
      and pause_reason(c.tenant_id, i.name, c.id, m.campaign_id) is null
    order by m.due_at limit 1000
  ), newest as (
    select distinct on (t.breaker, t.instance, t.process) t.* from circuit_transitions t
      where t.created_at > clock(p_now) - interval '2 days'
    order by t.breaker, t.instance, t.process, t.id desc
  ), open as (
    select n.breaker, n.instance, n.reason, n.id from newest n where n.state <> 'closed'
      and (n.process = 'database' or exists (select from process_status p
        where p.id = n.process and is_there(p.seen_at, clock(p_now))))
    union all
    select t.breaker, t.instance, t.reason, t.id from circuit_transitions t
      where t.state = 'open' and t.created_at > clock(p_now) - interval '1 minute'
  )
  select jsonb_build_object(
    'now', clock(p_now),
    'project_ref', (select value from installation where key = 'project_ref'),
    'paused', pause_reason('default', null, null, null),
    'processes', (select coalesce(jsonb_agg(jsonb_build_object('id', id, 'mode', mode, 'started_seconds', extract(epoch
      from clock(p_now) - started_at),
      'seen_seconds', extract(epoch from clock(p_now) - seen_at), 'figures', figures) order by id), '[]')
        from process_status where seen_at > clock(p_now) - interval '1 hour'),
    'breakers', (select coalesce(jsonb_agg(jsonb_build_object('breaker', b.breaker, 'instance', b.instance, 'reason',
      b.reason) order by b.breaker, b.instance), '[]')
      from (select distinct on (o.breaker, o.instance) o.* from open o
        order by o.breaker, o.instance, o.reason nulls last, o.id desc) b),
    'numbers', (select coalesce(jsonb_agg(jsonb_build_object('name', name, 'status', status, 'seconds', extract(epoch
      from clock(p_now) - status_at),
      'code', status_reason, 'paired', paired, 'deaf', deaf_since is not null and status = 'open', 'held', case
        when held_until > clock(p_now) then held_reason end, 'fault', gateway_fault, 'webhook_wrong',
      is_webhook_wrong(name)) order by id), '[]') from instances),
    'unanswered', (select jsonb_build_object('count', count(*), 'oldest_seconds', extract(epoch
      from clock(p_now) - min(created_at))) from waiting),
    'deferred', (select jsonb_build_object('count', count(*), 'oldest_seconds', extract(epoch
      from clock(p_now) - min(deferred_since)),
      'reasons', coalesce(jsonb_agg(distinct deferred_reason), '[]')) from deferred),
    'unheard', unheard_conversations(null, p_now),
    'media', media_unread(null, p_now),
    'outbound', (select jsonb_build_object('due', count(*), 'oldest_seconds', extract(epoch
      from clock(p_now) - min(due_at))) from due)
      || jsonb_build_object('stuck', stuck_rows(p_now), 'uncertain', (select count(*) from on_wire
        where status = 'uncertain') + unproven_count()),
    'gone_models', case when p_all then (select coalesce(jsonb_agg(distinct k.model), '[]')
      from (select model, outcome, created_at from model_calls order by id desc limit 2000) k
      where k.outcome = 'model_gone' and k.created_at > clock(p_now) - interval '1 hour') end,
    'unplaced', case when p_all then (select coalesce(jsonb_agg(jsonb_build_object('instance', u.instance, 'reason',
      u.reason, 'count', u.n) order by u.instance, u.reason), '[]')
      from (select w.instance, w.ignored[1] as reason, count(*) as n from webhook_events w
        where w.ignored is not null and w.received_at > (select clock(p_now)) - interval '15 minutes'
          and is_unplaced(w.ignored[1]) group by 1, 2) u) end,
    'work', case when p_all then (select jsonb_build_object('turns', count(*), 'failed_turns',
      count(*) filter (where status in ('failed', 'expired')),
        'median_ms', percentile_cont(0.5) within group (order by extract(epoch from ended_at - started_at) * 1000)
          filter (where status = 'committed'))
      from (select * from turns order by id desc limit 5000) t where ended_at > clock(p_now) - interval '15 minutes') ||
      (select jsonb_build_object('sends', count(*), 'failed_sends', count(*) filter (where status = 'failed'))
        from (select status, created_at from messages where direction = 'out' and kind is not null order by id desc
          limit 5000) m
        where created_at > clock(p_now) - interval '15 minutes' and status in ('sent', 'delivered', 'read', 'failed'))
          ||
      -- the clock is asked once: an index is of no use to what changes from row to row
      jsonb_build_object('errors_last_hour', (select count(*) from messages
        where direction = 'out' and status = 'failed' and created_at > (select clock(p_now)) - interval '1 hour')
        + (select count(*) from turns
          where status in ('failed', 'expired') and started_at > (select clock(p_now)) - interval '1 hour')) end)
$function$;
revoke all on function public.alert_snapshot(boolean,timestamp with time zone) from public;
grant execute on function public.alert_snapshot(boolean,timestamp with time zone) to service_role;
grant execute on function public.alert_snapshot(boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.answer_stop(p_conversation public.conversations, p_turn public.turns, p_now timestamp with time zone)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_silenced text := silenced_by(p_conversation, p_now, null, p_turn.started_at);
begin
  return case when v_silenced like 'paused\_%' then 'paused' else v_silenced end;
end $function$;
revoke all on function public.answer_stop(public.conversations,public.turns,timestamp with time zone) from public;
grant execute on function public.answer_stop(public.conversations,public.turns,timestamp with time zone) to service_role;
grant execute on function public.answer_stop(public.conversations,public.turns,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.apply_alerts(p_holds jsonb, p_looked jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_now timestamptz := clock(p_now);
  h record;
  v alerts;
  v_fired text[] := '{}';
  v_recovered text[] := '{}';
begin
  perform pg_advisory_xact_lock(hashtextextended('alerts', 19));
  for h in select * from jsonb_to_recordset(p_holds) as x (key text, name text, subject text, urgent boolean,
    about text, text text, recovery text,
      for_seconds int, cooldown_seconds int, stage int) loop
    insert into alerts as a (key, name, subject, urgent, about, text, recovery, status, since, seen_at)
      values (h.key, h.name, h.subject, h.urgent, h.about, h.text, h.recovery, 'pending', v_now, v_now)
      on conflict (key) do update set urgent = excluded.urgent, about = excluded.about, text = excluded.text,
        recovery = excluded.recovery, seen_at = v_now,
        status = case a.status when 'ok' then 'pending' else a.status end,
        -- it has to hold without a break: not over a time in which nobody looked
        since = case when a.status = 'ok' or (a.status = 'pending' and a.seen_at < v_now - interval '5 minutes')
          then v_now else a.since end
      returning * into v;
    if (v.status = 'firing' and coalesce(h.stage, 1) > v.stage)
      or (v.status = 'pending' and v.since <= v_now - make_interval(secs => h.for_seconds)
        and (v.told_at is null or v.told_at <= v_now - make_interval(secs => h.cooldown_seconds))) then
      update alerts set status = 'firing', told_at = v_now, times = times + 1, stage = coalesce(h.stage, 1)
        where id = v.id returning * into v;
      perform add_notice(jsonb_build_object('tenant', v.tenant_id, 'key', 'alert-' || v.id || '-' || v.times, 'kind',
        'alert', 'text', v.text, 'urgent', v.urgent, 'about', v.about), v_now);
      v_fired := v_fired || v.name;
    end if;
  end loop;
  for v in select * from alerts where status <> 'ok' and p_looked ? name and not exists (select
    from jsonb_array_elements(p_holds) x where x ->> 'key' = alerts.key) order by id for update loop
    update alerts set status = 'ok', since = v_now where id = v.id;
    if v.status = 'firing' then
      v_recovered := v_recovered || v.name;
      if v.recovery is not null then
        perform add_notice(jsonb_build_object('tenant', v.tenant_id, 'key', 'alert-' || v.id || '-' || v.times
          || '-over', 'kind', 'recovery', 'text', v.recovery, 'urgent', false, 'about', v.about), v_now);
      end if;
    end if;
  end loop;
  return jsonb_build_object('fired', to_jsonb(v_fired), 'recovered', to_jsonb(v_recovered));
end $function$;
revoke all on function public.apply_alerts(jsonb,jsonb,timestamp with time zone) from public;
grant execute on function public.apply_alerts(jsonb,jsonb,timestamp with time zone) to service_role;
grant execute on function public.apply_alerts(jsonb,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.apply_early(p_instance_id bigint, p_provider_id text, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_event jsonb;
begin
  for v_event in
    with gone as (delete from early_updates where instance_id = p_instance_id and provider_id = p_provider_id
      returning id, event)
    select event from gone order by id
  loop
    perform apply_update(p_instance_id, v_event, p_now);
  end loop;
  if v_event is not null then
    update webhook_events set ignored = nullif(array_remove(ignored, 'unknown_message'), '{}')
      where ignored is not null and coalesce(instance, '') = (select name from instances where id = p_instance_id)
        and ignored[1] = 'unknown_message'
        and results @> jsonb_build_array(jsonb_build_object('outcome', 'early', 'provider_id', p_provider_id));
  end if;
end $function$;
revoke all on function public.apply_early(bigint,text,timestamp with time zone) from public;
grant execute on function public.apply_early(bigint,text,timestamp with time zone) to service_role;
grant execute on function public.apply_early(bigint,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.apply_effects(p_conversation public.conversations, p_turn public.turns, p_effects jsonb, p_draft boolean, p_now timestamp with time zone)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_effect jsonb; v_count int := 0;
begin
  for v_effect in select * from jsonb_array_elements(p_effects) loop
    case v_effect ->> 'type'
      when 'handoff' then
        perform open_handoff(p_conversation.id, p_turn.id, v_effect ->> 'reason', v_effect ->> 'summary',
          coalesce((v_effect ->> 'controls')::boolean, true), p_now, v_effect ->> 'suggestion');
      when 'opt_out' then
        perform add_opt_out(p_conversation.contact_id, 'agent', p_now, p_conversation.instance_id);
      when 'remember' then
        perform remember_fact(p_conversation.contact_id, v_effect, (select max(id) from messages
          where turn_id = p_turn.id and direction = 'in' and conversation_id = p_conversation.id), p_now);
      when 'remind' then
        perform add_reminder(p_conversation, p_turn.id, v_effect, p_now);
      when 'cancel_reminders' then
        perform cancel_reminders(p_conversation.id, null, 'contact_cancelled', p_now);
      when 'label' then
        update conversations set observed_labels = array(select jsonb_array_elements_text(v_effect -> 'labels')),
          observed_summary = v_effect ->> 'summary', observed_at = p_now where id = p_conversation.id;
      when 'react' then
        if queue_reaction(p_conversation, p_turn, v_effect, v_count, p_draft, p_now) then
          v_count := v_count + 1;
        end if;
      when 'tool_write' then
        perform queue_tool_write(p_conversation, p_turn, v_effect, p_draft, p_now);
    end case;
  end loop;
  return v_count;
end $function$;
revoke all on function public.apply_effects(public.conversations,public.turns,jsonb,boolean,timestamp with time zone) from public;
grant execute on function public.apply_effects(public.conversations,public.turns,jsonb,boolean,timestamp with time zone) to service_role;
grant execute on function public.apply_effects(public.conversations,public.turns,jsonb,boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.apply_erasures(p_erasures jsonb, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v record; v_erased int := 0; v_known jsonb;
begin
  with known as (insert into erasures (tenant_id, kind, hash, erased_at, own_until)
    select e.tenant, min(e.kind), e.hash, max(e.erased_at), max(e.own_until)
      from jsonb_to_recordset(p_erasures) as e (tenant text, kind text, hash text, erased_at timestamptz,
      own_until timestamptz)
      join tenants t on t.id = e.tenant group by e.tenant, e.hash
    on conflict (tenant_id, hash) do update set erased_at = greatest(erasures.erased_at, excluded.erased_at),
      own_until = greatest(erasures.own_until, excluded.own_until)
    returning tenant_id, hash, erased_at) select jsonb_agg(k) into v_known from known k;
  for v in
    select a.tenant_id, a.contact_id, max(e.erased_at) as erased_at from contact_addresses a
      join contacts c on c.id = a.contact_id
      join erasures e on e.tenant_id = a.tenant_id and e.kind = 'address' and e.hash = address_hash(a.kind,
        a.instance_id, a.address)
    -- a number that was this person's only since then was not erased with the one who had it before
    where c.created_at < e.erased_at and greatest(a.created_at, a.moved_at) < e.erased_at group by 1, 2 order by 2
  loop
    if erase_contact(v.tenant_id, v.contact_id, null, p_actor, 'erased after the backup was made',
      v.erased_at) ->> 'outcome' = 'erased' then v_erased := v_erased + 1; end if;
  end loop;
  -- in the backup a person may still have a number that was another's before the erasure: what that one wrote is not
  -- gone
  update erasures e set erased_at = k.erased_at
    from jsonb_to_recordset(v_known) as k (tenant_id text, hash text, erased_at timestamptz)
    where e.tenant_id = k.tenant_id and e.hash = k.hash and e.erased_at > k.erased_at;
  return jsonb_build_object('erased', v_erased);
end $function$;
revoke all on function public.apply_erasures(jsonb,text,timestamp with time zone) from public;
grant execute on function public.apply_erasures(jsonb,text,timestamp with time zone) to service_role;
grant execute on function public.apply_erasures(jsonb,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.apply_update(p_instance_id bigint, p_event jsonb, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_message messages;
  v_conversation conversations;
  v_kind text := p_event ->> 'kind';
  v_new text := p_event ->> 'status';
  v_id text := p_event ->> 'providerId';
  v_chat jsonb := nullif(p_event -> 'chat', 'null');
  v_changed boolean;
begin
  v_message := news_of(p_instance_id, v_id, v_chat, v_kind = 'ack');
  if v_message.id is null then
    perform hold_named(i, v_chat) from instances i where i.id = p_instance_id;
    -- news of a message under the id that we chose: so it left
    if v_kind = 'ack' or (p_event ->> 'fromMe')::boolean then v_message := sent_as(p_instance_id, v_id); end if;
    if v_message.id is not null then
      perform 1 from conversations where id = v_message.conversation_id for no key update;
      perform settle_sent(v_message.id, v_message.wire_id, clock(p_now), clock(p_now));
    end if;
    perform lock_provider_id(p_instance_id, v_id);
    v_message := news_of(p_instance_id, v_id, v_chat, v_kind = 'ack');
  end if;
  if v_message.id is null then
    if (select is_erased_news(i, p_event) from instances i where i.id = p_instance_id)
      then return jsonb_build_object('outcome', 'erased', 'wake', false); end if;
    insert into early_updates (tenant_id, instance_id, provider_id, event, created_at) select tenant_id, id, v_id,
      p_event, clock(p_now) from instances where id = p_instance_id;
    return jsonb_build_object('outcome', 'early', 'wake', false) || case when v_kind = 'ack' then '{}'
      else jsonb_build_object('reason', 'unknown_message', 'instance_id', p_instance_id, 'provider_id', v_id) end;
  end if;
  select * into v_conversation from conversations where id = v_message.conversation_id for no key update;
  v_message := news_of(p_instance_id, v_id, v_chat, v_kind = 'ack'); -- it may have moved, or changed
  if v_message.id is null then return apply_update(p_instance_id, p_event, p_now); end if; -- or was erased
  select * into v_message from messages where id = v_message.id for update;
  if v_kind = 'ack' then
    if v_message.kind is not null then
      if v_new = 'failed' then
        if v_message.status in ('sent', 'sending', 'uncertain') then
          perform fail_send(v_message.id, 'provider_refused', clock(p_now));
          perform turn_address(v_conversation, v_message.sent_to, clock(p_now));
          -- WhatsApp names no reason; the one that matters is the limit on writing to strangers (463)
          perform number_trouble(p_instance_id, incident('error_ack'), clock(p_now));
        end if;
      elsif v_new = 'sent' then
        update messages set status = 'sent' where id = v_message.id and status in ('sending', 'uncertain');
      elsif v_new = 'delivered' then
        update messages set status = 'delivered', reason = null, error_class = null, delivered_at = clock(p_now)
          where id = v_message.id and status in ('sending', 'uncertain', 'unproven', 'sent', 'failed');
      elsif v_new = 'read' then
        update messages set status = 'read', reason = null, error_class = null, read_at = clock(p_now),
          delivered_at = coalesce(delivered_at, clock(p_now))
          where id = v_message.id and status in ('sending', 'uncertain', 'unproven', 'sent', 'delivered', 'failed');
      end if;
      if v_new in ('delivered', 'read') and v_message.status = 'failed' then perform heal_send(v_message, clock(p_now));
      v_changed := true; end if;
      if v_new in ('delivered', 'read') and v_message.status = 'unproven'
        then perform close_handoff(v_message, 'send_unproven', clock(p_now)); end if;
      if v_new in ('delivered', 'read') and v_message.delivered_at is null
        then perform note_delivery(v_message, v_conversation.contact_id, clock(p_now)); end if;
    end if;
    return jsonb_build_object('outcome', 'ack', 'conversation_id', v_message.conversation_id,
      'message_id', v_message.id, 'correlation_id', v_message.correlation_id, 'wake', false, 'wake_send', v_changed);
  end if;
  if not may_change(v_message, v_conversation, p_event) then
    return jsonb_build_object('outcome', 'refused', 'reason', 'not_its_author',
      'conversation_id', v_message.conversation_id, 'message_id', v_message.id,
      'correlation_id', v_message.correlation_id, 'wake', false);
  end if;
  v_changed := change_words(v_message, p_event, clock(p_now));
  if v_changed then select * into v_message from messages where id = v_message.id; end if;
  return jsonb_build_object('outcome', v_kind, 'conversation_id', v_message.conversation_id, 'message_id', v_message.id,
    'correlation_id', v_message.correlation_id,
    'wake', v_changed and v_message.direction = 'in'
      and (v_message.status = 'received'
        or (v_kind = 'delete' and first_pending(v_message.conversation_id) is not null)),
      'first_pending_at', first_pending(v_message.conversation_id), 'inbound_at', clock(p_now));
end $function$;
revoke all on function public.apply_update(bigint,jsonb,timestamp with time zone) from public;
grant execute on function public.apply_update(bigint,jsonb,timestamp with time zone) to service_role;
grant execute on function public.apply_update(bigint,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.approval_told(p_id bigint, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS void
 LANGUAGE sql
 SET search_path TO 'public', 'pg_temp'
AS $function$
  update approvals set told_at = coalesce(told_at, clock(p_now)) where id = p_id
$function$;
revoke all on function public.approval_told(bigint,timestamp with time zone) from public;
grant execute on function public.approval_told(bigint,timestamp with time zone) to service_role;
grant execute on function public.approval_told(bigint,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.as_of_now(p_message public.messages, p_tz text, p_now timestamp with time zone)
 RETURNS public.messages
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_text text;
begin
  select reminder_text(r, p_tz, p_now) into v_text from reminders r
    where r.message_id = p_message.id and r.event_at is not null;
  if v_text is null or v_text = p_message.text then return p_message; end if;
  update messages set text = v_text where id = p_message.id returning * into p_message;
  return p_message;
end $function$;
revoke all on function public.as_of_now(public.messages,text,timestamp with time zone) from public;
grant execute on function public.as_of_now(public.messages,text,timestamp with time zone) to service_role;
grant execute on function public.as_of_now(public.messages,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.aside_webhooks(p_aside jsonb, p_limit integer)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('id', id, 'event', event, 'body', body, 'received_at', received_at)
    order by id), '[]')
  from (select * from webhook_events where aside_id in (select jsonb_array_elements_text(p_aside)::bigint) order by id
    limit p_limit) w
$function$;
revoke all on function public.aside_webhooks(jsonb,integer) from public;
grant execute on function public.aside_webhooks(jsonb,integer) to service_role;
grant execute on function public.aside_webhooks(jsonb,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.ask_operator(p_actor text, p_place text, p_command jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  insert into operator_asks (actor, place, command, expires_at)
    values (p_actor, p_place, p_command, clock(p_now) + interval '2 minutes')
    on conflict (actor, place) do update set command = excluded.command, expires_at = excluded.expires_at;
  return '{}';
end $function$;
revoke all on function public.ask_operator(text,text,jsonb,timestamp with time zone) from public;
grant execute on function public.ask_operator(text,text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.ask_operator(text,text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.assess_numbers(p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_now timestamptz := clock(p_now);
  v instances;
  v_released text[] := '{}';
  v_count int;
  v_delivered int;
  v_newest int;
  v_trial record;
begin
  for v in select * from instances order by id for no key update loop
    -- it was believed dead, and something arrived: a reply, since those are not held
    if v.held_reason = 'number_undelivered' and exists (select from slots s
      join messages m on m.id = s.message_id
      where s.instance_id = v.id and s.reply and s.slot_at >= v.held_since and m.delivered_at is not null) then
      perform release_number(v, 'arrived_again', v_now);
      v_released := v_released || v.name;
      continue;
    end if;
    if v.held_reason is not null and v.held_until <= v_now then
      select m.status, m.error_class, m.delivered_at, m.slot_at into v_trial from messages m
        where m.id = (select n.message_id from (
          select message_id, slot_at from slots where instance_id = v.id and not reply and slot_at >= v.held_until
          union all select message_id, slot_at from on_wire where instance_id = v.id and is_proactive(kind)
            and slot_at >= v.held_until) n order by n.slot_at desc limit 1);
      if found and (v_trial.delivered_at is not null
        or (v_trial.status = 'sent' and v.held_reason not in ('number_undelivered', 'number_few_deliveries',
        'number_error_acks'))) then
        perform release_number(v, 'arrived_again', v_now);
        v_released := v_released || v.name;
      elsif found and v_trial.slot_at <= v_now - interval '10 minutes' then
        -- nobody answered for it: twice as long
        perform number_trouble(v.id, incident('trial_unanswered') || jsonb_build_object('reason', v.held_reason),
          v_now);
      end if;
      continue;
    end if;
    continue when v.held_reason is not null or v.status not in ('open', 'unknown');
    select count(*), count(*) filter (where delivered), count(*) filter (where delivered and place <= 10) into v_count,
      v_delivered, v_newest
      from (select j.delivered, row_number() over (order by j.slot_at desc) as place from judged_sends(v, v_now) j) s;
    if v_count >= 10 and v_newest = 0 then
      perform number_trouble(v.id, incident('nothing_arrives'), v_now);
    elsif v_count >= 20 and v_delivered < 0.6 * v_count then
      perform number_trouble(v.id, incident('little_arrives'), v_now);
    end if;
  end loop;
  return jsonb_build_object('released', to_jsonb(v_released));
end $function$;
revoke all on function public.assess_numbers(timestamp with time zone) from public;
grant execute on function public.assess_numbers(timestamp with time zone) to service_role;
grant execute on function public.assess_numbers(timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.audit_handset(p_conversation public.conversations, p_switch text, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE sql
AS $function$
  insert into audit_log (tenant_id, actor, action, subject, created_at)
    values (p_conversation.tenant_id, 'handset', 'bot.' || p_switch, p_conversation.id::text, p_now)
$function$;
revoke all on function public.audit_handset(public.conversations,text,timestamp with time zone) from public;
grant execute on function public.audit_handset(public.conversations,text,timestamp with time zone) to service_role;
grant execute on function public.audit_handset(public.conversations,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.audit_tenants()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v record; v_rows bigint; v_relations int := 0; v_crossing jsonb := '[]';
begin
  for v in
    select c.conrelid::regclass::text as child, c.confrelid::regclass::text as parent,
      string_agg(quote_ident(a.attname), ', ' order by k.place) as columns,
      string_agg(format('child.%I = parent.%I', a.attname, b.attname), ' and ' order by k.place) as matches
    from pg_constraint c
    cross join lateral unnest(c.conkey, c.confkey) with ordinality k (here, there, place)
    join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.here
    join pg_attribute b on b.attrelid = c.confrelid and b.attnum = k.there
    where c.contype = 'f' and c.connamespace = 'public'::regnamespace and c.conparentid = 0
      and exists (select from pg_attribute t where t.attrelid = c.conrelid and t.attname = 'tenant_id')
      and exists (select from pg_attribute t where t.attrelid = c.confrelid and t.attname = 'tenant_id')
    group by c.oid, c.conrelid, c.confrelid order by 1, 3
  loop
    execute format('select count(*) from %s child join %s parent on %s where child.tenant_id is distinct from '
      'parent.tenant_id', v.child, v.parent, v.matches) into v_rows;
    v_relations := v_relations + 1;
    if v_rows > 0 then
      v_crossing := v_crossing || jsonb_build_object('relation', v.child || '.' || v.columns, 'rows', v_rows);
    end if;
  end loop;
  return jsonb_build_object('relations', v_relations, 'crossing', v_crossing);
end $function$;
revoke all on function public.audit_tenants() from public;
grant execute on function public.audit_tenants() to service_role;
grant execute on function public.audit_tenants() to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.await_send(p_conversation public.conversations, p_message public.messages, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_message messages := p_message; v_instance instances;
begin
  if v_message.status = 'sending' and v_message.lease_until > p_now then
    return jsonb_build_object('action', 'wait', 'until', v_message.lease_until, 'reason', 'sending', 'message_id',
      v_message.id);
  end if;
  if v_message.status = 'uncertain' and v_message.due_at > p_now then
    return jsonb_build_object('action', 'wait', 'until', v_message.due_at, 'reason', 'uncertain', 'message_id',
      v_message.id);
  end if;
  -- longer than a look may take (LOOK_MS in outbox/send.ts)
  update messages set due_at = p_now + interval '20 seconds', lease_until = null,
    slot_at = case status when 'sending' then p_now else slot_at end,
    reason = case status when 'sending' then 'worker_lost' else reason end, status = 'uncertain'
    where id = v_message.id returning * into v_message;
  select * into v_instance from instances where id = p_conversation.instance_id;
  return jsonb_build_object('action', 'look', 'message_id', v_message.id, 'claim', v_message.claim,
    'instance', v_instance.name,
    'jids', (select jsonb_agg(distinct j) from (select send_jid(v_message, p_conversation) as j union all
      select a.address || case a.kind when 'pn' then '@s.whatsapp.net' else '@lid' end from contact_addresses a
        where a.contact_id = p_conversation.contact_id) x),
    'wire_id', v_message.wire_id, 'gateway_version', v_instance.gateway_version, 'type', v_message.type,
    'text', v_message.text, 'claimed_at', v_message.claimed_at, 'looks', v_message.looks,
    'correlation_id', v_message.correlation_id, 'reason', v_message.reason, 'now', p_now,
    'witness', (select w.provider_id from messages w where w.conversation_id = p_conversation.id
      and w.provider_id is not null and w.type <> 'reaction' and w.deleted_at is null order by w.seq desc limit 1));
end $function$;
revoke all on function public.await_send(public.conversations,public.messages,timestamp with time zone) from public;
grant execute on function public.await_send(public.conversations,public.messages,timestamp with time zone) to service_role;
grant execute on function public.await_send(public.conversations,public.messages,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.begin_campaign(p_campaign public.campaigns, p_policy jsonb, p_shop text, p_now timestamp with time zone)
 RETURNS public.campaigns
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v campaigns;
begin
  insert into campaign_recipients (campaign_id, contact_id, tenant_id, phone, text, status, reason)
    select p_campaign.id, a.contact_id, p_campaign.tenant_id, a.phone,
      case when a.reason is null then campaign_words(p_campaign.text, a.name, p_shop) end,
      case when a.reason is null then 'waiting' else 'skipped' end, a.reason
    from campaign_audience(p_campaign, p_policy, p_now) a;
  update campaigns set status = 'running', started_at = p_now where id = p_campaign.id returning * into v;
  return v;
end $function$;
revoke all on function public.begin_campaign(public.campaigns,jsonb,text,timestamp with time zone) from public;
grant execute on function public.begin_campaign(public.campaigns,jsonb,text,timestamp with time zone) to service_role;
grant execute on function public.begin_campaign(public.campaigns,jsonb,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.begin_login(p_email text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v users; v_password user_passwords; v_failures int; v_now timestamptz := clock(p_now);
begin
  select * into v from users where email = p_email and disabled_at is null for update;
  if not found or v.locked_until > v_now then return jsonb_build_object('outcome', 'no'); end if;
  v_failures := case when v.locked_until is null then v.failures else 0 end + 1;
  update users set failures = v_failures,
    locked_until = case when v_failures >= 10 then v_now + interval '15 minutes' end where id = v.id;
  select * into v_password from user_passwords where user_id = v.id order by id desc limit 1;
  return jsonb_build_object('outcome', 'check', 'user_id', v.id, 'password_id', v_password.id, 'hash',
    v_password.hash);
end $function$;
revoke all on function public.begin_login(text,timestamp with time zone) from public;
grant execute on function public.begin_login(text,timestamp with time zone) to service_role;
grant execute on function public.begin_login(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.body_of_ignored(p_instance text, p_reason text, p_raw jsonb, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_today timestamptz := date_trunc('day', p_now, 'UTC'); v_newest jsonb;
begin
  if pg_column_size(p_raw) > 262144 then return '{"left_out": "large"}'; end if;
  -- behind the first that was left out there is nothing to count any more
  select body into v_newest from webhook_events
    where ignored is not null and coalesce(instance, '') = coalesce(p_instance, '') and ignored[1] = p_reason
    and received_at >= v_today
    order by received_at desc limit 1;
  if v_newest = '{"left_out": "too_many"}' or (select count(*)
    from (select from webhook_events where ignored is not null and coalesce(instance, '') = coalesce(p_instance, '')
      and ignored[1] = p_reason and received_at >= v_today limit 1000) today) >= 1000
        then return '{"left_out": "too_many"}'; end if;
  return p_raw;
end $function$;
revoke all on function public.body_of_ignored(text,text,jsonb,timestamp with time zone) from public;
grant execute on function public.body_of_ignored(text,text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.body_of_ignored(text,text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.bot_suspicion(p_tenant text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('flagged', f.n, 'conversations', c.n, 'share', case when c.n = 0 then 0
    else round(f.n::numeric / c.n, 4) end)
  from (select count(distinct conversation_id) as n from bot_suspicions
    where tenant_id = p_tenant and created_at > clock(p_now) - interval '7 days' and false_positive_at is null) f,
    (select count(*) as n from conversations
      where tenant_id = p_tenant and last_inbound_at > clock(p_now) - interval '7 days') c
$function$;
revoke all on function public.bot_suspicion(text,timestamp with time zone) from public;
grant execute on function public.bot_suspicion(text,timestamp with time zone) to service_role;
grant execute on function public.bot_suspicion(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.both_writings(p_digits text)
 RETURNS text[]
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select array_agg(distinct w) from (values (p_digits), (one_writing(p_digits)),
    (regexp_replace(regexp_replace(one_writing(p_digits), '^(55[1-9]{2}(?=[6-9]\d{7}$)|54(?=\d{10}$))', '\19'),
      '^52(?=\d{10}$)', '521'))) x (w)
$function$;
revoke all on function public.both_writings(text) from public;
grant execute on function public.both_writings(text) to service_role;
grant execute on function public.both_writings(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.breaker_open(p_breaker text, p_instance text, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select exists (select from process_status p, jsonb_array_elements(p.breakers) b
    where is_heard(p.seen_at, p_now) and b ->> 'name' = p_breaker and b ->> 'instance' is not distinct from p_instance
      and b ->> 'state' <> 'closed')
$function$;
revoke all on function public.breaker_open(text,text,timestamp with time zone) from public;
grant execute on function public.breaker_open(text,text,timestamp with time zone) to service_role;
grant execute on function public.breaker_open(text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.breaker_reason(p_instance text, p_reasons jsonb, p_now timestamp with time zone)
 RETURNS text
 LANGUAGE sql
 STABLE
AS $function$
  select e.value ->> 'reason' from process_status p, jsonb_array_elements(p.breakers) e
  where is_heard(p.seen_at, p_now) and e.value ->> 'name' = 'evolution' and e.value ->> 'instance' = p_instance
    and e.value ->> 'state' <> 'closed'
    and (p_reasons is null or p_reasons ? (e.value ->> 'reason')) limit 1
$function$;
revoke all on function public.breaker_reason(text,jsonb,timestamp with time zone) from public;
grant execute on function public.breaker_reason(text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.breaker_reason(text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.burst_ms(p_conversation bigint, p_debounce jsonb, p_now timestamp with time zone)
 RETURNS bigint
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select in_ms(b.until, p_now) from (
    select least(min(i.created_at) + make_interval(secs => (p_debounce ->> 'debounceMaxMs')::numeric / 1000),
        greatest(max(i.created_at) + make_interval(secs => (p_debounce ->> 'debounceMs')::numeric / 1000),
          case when c.typing_seq = c.inbound_seq then c.typing_until end)) as until
      from conversations c join inbox i on i.conversation_id = c.id
      where c.id = p_conversation and p_debounce is not null group by c.id having not bool_or(i.command)) b
  where b.until > p_now
$function$;
revoke all on function public.burst_ms(bigint,jsonb,timestamp with time zone) from public;
grant execute on function public.burst_ms(bigint,jsonb,timestamp with time zone) to service_role;
grant execute on function public.burst_ms(bigint,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.bury_contacts(p_tenant text, p_contacts bigint[], p_conversations bigint[], p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_own_until timestamptz;
begin
  -- of what was on its way nobody knows the id yet, and Evolution may be at it for minutes
  select max(claimed_at) + interval '5 minutes' into v_own_until from messages
    where conversation_id = any (p_conversations) and direction = 'out' and provider_id is null and claim > 0
      and status in ('sending', 'uncertain', 'unproven', 'queued', 'failed');
  insert into erasures (tenant_id, kind, hash, erased_at, own_until)
    select distinct p_tenant, 'address', address_hash(kind, instance_id, address), p_now, v_own_until
      from contact_addresses where contact_id = any (p_contacts)
    on conflict (tenant_id, hash) do update set erased_at = greatest(erasures.erased_at, excluded.erased_at),
      own_until = greatest(erasures.own_until, excluded.own_until);
  insert into erasures (tenant_id, kind, hash, erased_at)
    select p_tenant, 'address', address_hash('pn', null, address), least(p_now, max(until)) from former_phones
      where contact_id = any (p_contacts) group by address
    on conflict (tenant_id, hash) do update set erased_at = greatest(erasures.erased_at, excluded.erased_at);
  insert into erasures (tenant_id, kind, hash, erased_at)
    select distinct p_tenant, 'message', message_hash(m.instance_id, i.id), p_now
      from messages m cross join lateral (values (m.provider_id), (m.wire_id)) i (id)
    where m.conversation_id = any (p_conversations) and i.id is not null
    on conflict do nothing;
end $function$;
revoke all on function public.bury_contacts(text,bigint[],bigint[],timestamp with time zone) from public;
grant execute on function public.bury_contacts(text,bigint[],bigint[],timestamp with time zone) to service_role;
grant execute on function public.bury_contacts(text,bigint[],bigint[],timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.bury_message(p_instance public.instances, p_provider_id text, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE sql
AS $function$
  insert into erasures (tenant_id, kind, hash, erased_at)
    values (p_instance.tenant_id, 'message', message_hash(p_instance.id, p_provider_id), p_now) on conflict do nothing
$function$;
revoke all on function public.bury_message(public.instances,text,timestamp with time zone) from public;
grant execute on function public.bury_message(public.instances,text,timestamp with time zone) to service_role;
grant execute on function public.bury_message(public.instances,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.campaign_audience(p_campaign public.campaigns, p_policy jsonb, p_now timestamp with time zone)
 RETURNS TABLE(contact_id bigint, phone text, name text, reason text, later text)
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  with tagged as materialized (
    select find_contact(p_campaign.tenant_id, t.contact_id, null) as id, t.tag from contact_tags t
      where t.tenant_id = p_campaign.tenant_id and (p_campaign.audience -> 'tags' ? t.tag
        or p_campaign.audience -> 'not_tags' ? t.tag)),
  chosen as (
    select c.*, (select a.address from contact_addresses a where a.contact_id = c.id and a.kind = 'pn'
        order by a.refused_at nulls first, a.id limit 1) as phone,
      (select max(v.last_inbound_at) from conversations v where v.contact_id = c.id) as wrote_at
    from contacts c where c.tenant_id = p_campaign.tenant_id and c.merged_into is null and c.erased_at is null
      and (p_campaign.audience -> 'tags' is null or (select count(distinct t.tag) from tagged t where t.id = c.id
        and p_campaign.audience -> 'tags' ? t.tag) = jsonb_array_length(p_campaign.audience -> 'tags'))
      and not exists (select from tagged t where t.id = c.id and p_campaign.audience -> 'not_tags' ? t.tag))
  select c.id, c.phone, c.name,
    case when c.phone is null then 'no_phone'
      when exists (select from standing_opt_out(c.id)) then 'opt_out'
      when not in_allowlist(c.id, p_policy) then 'allowlist'
      when (p_policy ->> 'pilot')::boolean and c.wrote_at is null then 'pilot_mode'
      when unanswered(c.id, (p_policy ->> 'maxUnanswered')::int) >= (p_policy ->> 'maxUnanswered')::int
        then 'campaign_pressure'
      when p_campaign.text ~ '\{(primeiro_)?nome\}' and coalesce(btrim(c.name), '') = '' then 'no_name' end,
    case when c.next_allowed_at > p_now then 'next_allowed' when c.cooling_until > p_now then 'cooling_off'
      when last_campaign(c.id) + make_interval(days => (p_policy ->> 'campaignGapDays')::int) > p_now
        then 'campaign_gap' end
  from chosen c
  where (p_campaign.audience ->> 'wrote_days' is null
      or c.wrote_at > p_now - make_interval(days => (p_campaign.audience ->> 'wrote_days')::int))
    and (p_campaign.audience ->> 'silent_days' is null
      or c.wrote_at <= p_now - make_interval(days => (p_campaign.audience ->> 'silent_days')::int))
$function$;
revoke all on function public.campaign_audience(public.campaigns,jsonb,timestamp with time zone) from public;
grant execute on function public.campaign_audience(public.campaigns,jsonb,timestamp with time zone) to service_role;
grant execute on function public.campaign_audience(public.campaigns,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.campaign_name(p_tenant text, p_id bigint)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select c.name from campaigns c where c.id = p_id and c.tenant_id = p_tenant
$function$;
revoke all on function public.campaign_name(text,bigint) from public;
grant execute on function public.campaign_name(text,bigint) to service_role;
grant execute on function public.campaign_name(text,bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.campaign_outcomes(p_campaign bigint)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_object_agg(o.state, o.n), '{}') from (
    select case when r.status = 'queued' then coalesce(m.status, 'gone') else r.status end as state, count(*) as n
      from campaign_recipients r left join messages m on m.id = r.message_id where r.campaign_id = p_campaign
      group by 1) o
$function$;
revoke all on function public.campaign_outcomes(bigint) from public;
grant execute on function public.campaign_outcomes(bigint) to service_role;
grant execute on function public.campaign_outcomes(bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.campaign_paused(p_tenant text, p_campaign text)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select coalesce(p_campaign is not null and pause_status('campaign', p_campaign, p_tenant) = 'pausado', false)
$function$;
revoke all on function public.campaign_paused(text,text) from public;
grant execute on function public.campaign_paused(text,text) to service_role;
grant execute on function public.campaign_paused(text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.campaign_report(p_tenant text, p_name text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  with c as (select * from campaigns where tenant_id = p_tenant and name = p_name),
  all_of as materialized (select r.contact_id, case when r.status = 'queued' then coalesce(m.status, 'gone')
      else r.status end as state, case when r.status = 'queued' then m.reason else r.reason end as reason,
      m.conversation_id, m.seq, case when m.provider_id is not null then m.claimed_at end as at
    from c join campaign_recipients r on r.campaign_id = c.id left join messages m on m.id = r.message_id),
  reasons as (select a.state, jsonb_object_agg(a.reason, a.n) as of_it from (select x.state, x.reason, count(*) as n
    from all_of x where x.reason is not null group by 1, 2) a group by 1)
  select campaign_row(c) || jsonb_build_object('outcomes', campaign_outcomes(c.id),
    'reasons', (select coalesce(jsonb_object_agg(r.state, r.of_it), '{}') from reasons r),
    'replies', (select count(*) from all_of a where a.at is not null and exists (select from messages i
      where i.conversation_id = a.conversation_id and i.seq > a.seq and i.direction = 'in'
        and i.created_at <= a.at + interval '7 days')),
    'opt_outs', (select count(*) from all_of a where a.at is not null and exists (select from opt_outs o
      where o.contact_id = a.contact_id and o.created_at between a.at and a.at + interval '7 days')),
    'handoffs', (select count(*) from all_of a where a.at is not null and exists (select from handoffs h
      where h.conversation_id = a.conversation_id and h.created_at between a.at and a.at + interval '7 days')),
    'cost_usd', (select coalesce(sum(t.cost_usd), 0) from all_of a join turns t on t.conversation_id = a.conversation_id
      where t.started_at between a.at and a.at + interval '7 days'),
    'first_at', (select min(a.at) from all_of a), 'last_at', (select max(a.at) from all_of a))
  from c
$function$;
revoke all on function public.campaign_report(text,text) from public;
grant execute on function public.campaign_report(text,text) to service_role;
grant execute on function public.campaign_report(text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.campaign_row(p_campaign public.campaigns)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select to_jsonb(p_campaign) - 'tenant_id' - 'instance_id' - 'judged_from' || jsonb_build_object(
    'instance', (select i.name from instances i where i.id = p_campaign.instance_id),
    -- what holds it beside its own state: a pause of all, of the tenant, of its number, of itself, or the switch
    'held', (select coalesce('paused_' || pause_reason(p_campaign.tenant_id, i.name, null, p_campaign.name),
        case when t.proactive <> 'all' then 'campaigns_off' end)
      from tenants t left join instances i on i.id = p_campaign.instance_id where t.id = p_campaign.tenant_id))
$function$;
revoke all on function public.campaign_row(public.campaigns) from public;
grant execute on function public.campaign_row(public.campaigns) to service_role;
grant execute on function public.campaign_row(public.campaigns) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.campaign_words(p_text text, p_name text, p_shop text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select replace(replace(replace(p_text, '{loja}', coalesce(p_shop, '')),
    '{primeiro_nome}', coalesce(split_part(n.name, ' ', 1), '')), '{nome}', coalesce(n.name, ''))
  from (select nullif(btrim(regexp_replace(translate(left(p_name, 60), '{}[]', '()()'), '\s+', ' ', 'g')), '')) n (name)
$function$;
revoke all on function public.campaign_words(text,text,text) from public;
grant execute on function public.campaign_words(text,text,text) to service_role;
grant execute on function public.campaign_words(text,text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.cancel_apology(p_conversation bigint)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update messages m set status = 'cancelled', reason = 'answered_meanwhile', goes_at = null from outbox o, turns t
    where o.conversation_id = p_conversation and m.id = o.message_id and m.status = 'queued' and t.id = m.turn_id
      and t.status = 'deferred';
  if found then update conversations set apologised_at = null where id = p_conversation; end if;
end $function$;
revoke all on function public.cancel_apology(bigint) from public;
grant execute on function public.cancel_apology(bigint) to service_role;
grant execute on function public.cancel_apology(bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.cancel_reminder(p_tenant text, p_id bigint, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_talk bigint := (select conversation_id from reminders where id = p_id and tenant_id = p_tenant);
begin
  if v_talk is null then return jsonb_build_object('outcome', 'unknown'); end if;
  perform from conversations where id = v_talk for no key update;
  if cancel_reminders(v_talk, p_id, 'reminder_cancelled', clock(p_now)) = 0 then
    return jsonb_build_object('outcome', 'over');
  end if;
  perform record_audit(p_tenant, p_actor, 'reminder.cancel', p_id::text, jsonb_build_object('reason', p_reason));
  return jsonb_build_object('outcome', 'done');
end $function$;
revoke all on function public.cancel_reminder(text,bigint,text,text,timestamp with time zone) from public;
grant execute on function public.cancel_reminder(text,bigint,text,text,timestamp with time zone) to service_role;
grant execute on function public.cancel_reminder(text,bigint,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.cancel_reminders(p_conversation bigint, p_id bigint, p_reason text, p_now timestamp with time zone)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_count int;
begin
  perform end_send(m.id, 'cancelled', p_reason) from reminders r join messages m on m.id = r.message_id
    where r.conversation_id = p_conversation and (p_id is null or r.id = p_id) and m.status = 'queued';
  update reminders r set status = 'cancelled', reason = p_reason, ended_at = p_now
    where r.conversation_id = p_conversation and (p_id is null or r.id = p_id)
      and (r.status = 'waiting' or (r.status = 'queued' and exists (select from messages m
        where m.id = r.message_id and m.status = 'cancelled' and m.reason = p_reason)));
  get diagnostics v_count = row_count;
  return v_count;
end $function$;
revoke all on function public.cancel_reminders(bigint,bigint,text,timestamp with time zone) from public;
grant execute on function public.cancel_reminders(bigint,bigint,text,timestamp with time zone) to service_role;
grant execute on function public.cancel_reminders(bigint,bigint,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.change_password(p_user bigint, p_password bigint, p_hash text, p_session text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v users; v_now timestamptz := clock(p_now);
begin
  select * into v from users where id = p_user and disabled_at is null for update;
  if not found or p_password <> (select max(id) from user_passwords where user_id = v.id)
    then return jsonb_build_object('outcome', 'no'); end if;
  update users set failures = 0, locked_until = null where id = v.id;
  perform give_password(v, p_hash, false, 'console:' || v.email, v_now);
  insert into sessions (hash, tenant_id, user_id, created_at, used_at) values (p_session, v.tenant_id, v.id, v_now,
    v_now);
  insert into audit_log (tenant_id, actor, action, subject, created_at)
    values (v.tenant_id, 'console:' || v.email, 'user.password', v.email, v_now);
  return jsonb_build_object('outcome', 'changed');
end $function$;
revoke all on function public.change_password(bigint,bigint,text,text,timestamp with time zone) from public;
grant execute on function public.change_password(bigint,bigint,text,text,timestamp with time zone) to service_role;
grant execute on function public.change_password(bigint,bigint,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.change_words(p_message public.messages, p_event jsonb, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_unsure boolean := coalesce((p_event ->> 'unsure')::boolean, false);
  v_edit boolean := p_event ->> 'kind' = 'edit';
  v_pending boolean := p_message.direction = 'in' and p_message.status = 'received';
  v_told boolean := p_message.edited_at is not null and p_message.typed is not null;  -- its newest words are known
  v_completes boolean := p_message.wordless and p_message.direction = 'in' and p_event ->> 'kind' = 'edit'
    and not coalesce((p_event ->> 'unsure')::boolean, false);
  v_meaning jsonb := nullif(p_event -> 'meaning', 'null');
  v_seen jsonb;
  -- what a picture shows stays beside its new caption
  v_text text := case when p_message.type <> 'audio' and p_message.media ? 'note'
    then concat_ws(E'\n', p_message.media ->> 'note', p_event ->> 'typed') else p_event ->> 'text' end;
begin
  if v_unsure and v_told and (p_event ->> 'changedAt')::timestamptz <= p_message.edited_at + interval '1 minute'
    then return false; end if;
  if p_message.deleted_at is not null
    and not (v_edit and not v_unsure and p_message.reason is not distinct from 'deleted_or_edited')
    then return false; end if;
  if v_edit and p_message.text = v_text and p_message.deleted_at is null then return false; end if;
  if p_message.direction = 'in' and not v_pending then v_pending := take_back_answer(p_message.turn_id); end if;
  -- what waits for an answer is read anew; what a turn has read is told as changed
  v_seen := case when p_message.direction = 'in' and p_message.turn_id is not null and not v_pending and not v_completes
    and p_message.refused_by is null
      then coalesce(p_message.seen, jsonb_build_object('text', p_message.text, 'typed', p_message.typed)) end;
  if v_edit then
    if p_message.direction = 'in' and p_message.meaning ? 'command' then
      v_meaning := case when v_pending then '{"command": {"kind": "edited"}}' else p_message.meaning - 'asked' end;
    elsif p_message.direction = 'in' and v_meaning is not null then
      v_meaning := take_meaning((select c from conversations c where c.id = p_message.conversation_id), v_meaning,
        false, (p_event ->> 'changedAt')::timestamptz, false, p_event -> 'from', p_now);
    end if;
    update messages set original_text = coalesce(original_text, text), text = v_text,
      typed = p_event ->> 'typed', seen = v_seen, edited_at = p_now, deleted_at = null, refused_by = null,
      meaning = case when direction = 'in' then v_meaning else meaning end,
      status = case when v_completes or v_pending or (deleted_at is not null and direction = 'in'
        and status = 'skipped') then 'received' else status end,
      reason = case when v_completes or v_pending or deleted_at is not null then null else reason end, turn_id = case
        when v_pending or v_completes then null else turn_id end,
      type = case when wordless then 'text' else type end, wordless = wordless and v_unsure where id = p_message.id
      returning direction = 'in' and status = 'received' into v_pending;
  else
    update messages set deleted_at = p_now, seen = v_seen, meaning = meaning - 'asked', status = case when v_pending
      then 'skipped' else status end,
      reason = case when v_pending then case when v_unsure then 'deleted_or_edited' else 'deleted_by_contact' end
        else reason end where id = p_message.id;
  end if;
  -- a turn that is under way read the old text, and a summary has it
  if v_pending then update conversations set inbound_seq = inbound_seq + 1 where id = p_message.conversation_id; end if;
  delete from summaries where conversation_id = p_message.conversation_id and through_seq >= p_message.seq;
  return true;
end $function$;
revoke all on function public.change_words(public.messages,jsonb,timestamp with time zone) from public;
grant execute on function public.change_words(public.messages,jsonb,timestamp with time zone) to service_role;
grant execute on function public.change_words(public.messages,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.chat_hashes(p_instance_id bigint, p_chats jsonb)
 RETURNS text[]
 LANGUAGE sql
 STABLE
AS $function$
  select coalesce(array_agg(distinct address_hash(a.kind, p_instance_id, a.address)), '{}')
    from jsonb_array_elements(p_chats) c,
    lateral (values ('pn', c ->> 'pn'), ('lid', c ->> 'lid')) a (kind, address) where a.address is not null
$function$;
revoke all on function public.chat_hashes(bigint,jsonb) from public;
grant execute on function public.chat_hashes(bigint,jsonb) to service_role;
grant execute on function public.chat_hashes(bigint,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.choose_instance(p_tenant text, p_phone text, p_default text, p_policy jsonb, p_now timestamp with time zone)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_name text;
begin
  perform pg_advisory_xact_lock(hashtextextended('choose/' || p_tenant, 13));
  select s.name into v_name from (
    select i.id, i.name,
      i.status in ('open', 'unknown') and number_hold(i, false, p_now) is null and not breaker_open('evolution', i.name,
        p_now) as fit,
      coalesce(i.cap_hour, (p_policy ->> 'capHour')::int) as cap_hour,
        coalesce(i.cap_day, (p_policy ->> 'capDay')::int) as cap_day,
      u.hour, u.day, c.last_inbound_at
    from instances i
      left join contact_addresses a on a.kind = 'pn' and a.tenant_id = p_tenant and a.address = p_phone
      left join conversations c on c.instance_id = i.id and c.contact_id = a.contact_id and c.merged_into is null,
      lateral (select count(*) filter (where m.slot_at > p_now - interval '1 hour' or m.slot_at is null) as hour,
        count(*) as day from (
        select slot_at from slots where instance_id = i.id and not reply and not is_notice(kind)
          and slot_at > p_now - interval '1 day'
        union all
        select slot_at from on_wire where instance_id = i.id and is_proactive(kind) and not is_notice(kind)
          and slot_at > p_now - interval '1 day'
        union all
        -- enough to fill a day: a longer queue makes no number fuller
        (select null from outbox where instance_id = i.id and is_proactive(kind) and not is_notice(kind)
          limit 1000)) m) u
    where i.tenant_id = p_tenant and i.proactive) s
  order by s.fit desc, (s.hour < s.cap_hour and s.day < s.cap_day) desc, s.last_inbound_at desc nulls last,
    s.day::numeric / greatest(s.cap_day, 1), s.id
  limit 1;
  return coalesce(v_name, p_default);
end $function$;
revoke all on function public.choose_instance(text,text,text,jsonb,timestamp with time zone) from public;
grant execute on function public.choose_instance(text,text,text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.choose_instance(text,text,text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.claim_asked(p_items jsonb, p_done jsonb, p_as text, p_policy jsonb, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_done jsonb := p_done;
  v_asked jsonb; -- {position: conversation}
  v_n text;
  v_id bigint;
begin
  if p_policy is not null then
    select coalesce(jsonb_object_agg(d.key, p_items -> (d.key::int - 1) -> 'conversation_id'), '{}') into v_asked
      from jsonb_each(p_done) d where (d.value ->> 'ask')::boolean;
    perform lock_numbers(array(select x::bigint from jsonb_each_text(v_asked) e (n, x)));
    for v_n, v_id in select n, x::bigint from jsonb_each_text(v_asked) e (n, x) order by 2 loop
      v_done := jsonb_set(v_done, array[v_n, p_as], send_claim(v_id, p_policy, p_now));
    end loop;
  end if;
  return (select jsonb_agg((v_done -> n::text) - 'ask' order by n)
    from generate_series(1, jsonb_array_length(p_items)) n);
end $function$;
revoke all on function public.claim_asked(jsonb,jsonb,text,jsonb,timestamp with time zone) from public;
grant execute on function public.claim_asked(jsonb,jsonb,text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.claim_asked(jsonb,jsonb,text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.claim_command(p_conversation bigint, p_lease_ms integer, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare m messages;
begin
  select x.* into m from inbox n join messages x on x.id = n.message_id where n.conversation_id = p_conversation
    and n.command order by n.seq limit 1;
  if m.lease_until > p_now then return jsonb_build_object('state', 'busy', 'until', m.lease_until); end if;
  update messages set claim = claim + 1, lease_until = p_now + make_interval(secs => p_lease_ms / 1000.0)
    where id = m.id returning * into m;
  return jsonb_build_object('state', 'command', 'message_id', m.id, 'claim', m.claim, 'command', m.meaning -> 'command',
    'text', m.text, 'sent_at', m.provider_at, 'now', p_now,
    'asked', (select coalesce(jsonb_agg(jsonb_build_object('message_id', a.id, 'command', a.meaning -> 'command',
      'word', a.meaning ->> 'asked')), '[]') from (
      select * from messages where conversation_id = p_conversation and meaning ? 'command'
        and created_at > p_now - interval '5 minutes' and meaning ? 'asked' and seq < m.seq
      order by seq desc limit 3) a),
    'recent', (select jsonb_build_object('asked', count(*) filter (where c.reason = 'command_asked'), 'wrong',
      count(*) filter (where c.reason = 'command_wrong'),
      'locked', count(*) filter (where c.reason = 'command_locked'), 'answers', count(*)) from messages c
      where c.meaning ? 'command' and c.created_at > p_now - interval '1 hour' and c.status = 'answered'));
end $function$;
revoke all on function public.claim_command(bigint,integer,timestamp with time zone) from public;
grant execute on function public.claim_command(bigint,integer,timestamp with time zone) to service_role;
grant execute on function public.claim_command(bigint,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.claim_job(p_job text, p_tick timestamp with time zone, p_worker text, p_lease_ms integer, p_alone boolean, p_again boolean DEFAULT false, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_id bigint;
  v_attempts int := 1;
  v_until timestamptz := clock(p_now) + make_interval(secs => p_lease_ms / 1000.0);
begin
  perform pg_advisory_xact_lock(hashtextextended('job/' || p_job, 17));
  if p_alone and exists (select from job_runs where job = p_job and status = 'running' and lease_until > clock(p_now))
    then
    return jsonb_build_object('id', null, 'because', 'running');
  end if;
  if p_again then
    update job_runs set attempts = attempts + 1, started_at = clock(p_now), lease_until = v_until
      where job = p_job and tick = p_tick and worker = p_worker and status = 'running' returning id, attempts into v_id,
        v_attempts;
    if found then return jsonb_build_object('id', v_id, 'attempts', v_attempts, 'because', null); end if;
    v_attempts := 1;
  end if;
  insert into job_runs (job, tick, worker, started_at, lease_until)
    values (p_job, p_tick, p_worker, clock(p_now), v_until) on conflict (job, tick) do nothing returning id into v_id;
  return jsonb_build_object('id', v_id, 'attempts', v_attempts, 'because', case when v_id is null then 'ran' end);
end $function$;
revoke all on function public.claim_job(text,timestamp with time zone,text,integer,boolean,boolean,timestamp with time zone) from public;
grant execute on function public.claim_job(text,timestamp with time zone,text,integer,boolean,boolean,timestamp with time zone) to service_role;
grant execute on function public.claim_job(text,timestamp with time zone,text,integer,boolean,boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.claim_media(p_message bigint, p_tenant text, p_hash text, p_kind text, p_bytes integer, p_lease_ms integer, p_money jsonb DEFAULT NULL::jsonb, p_pages integer DEFAULT 1, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v_message messages; v_media media; v_ceiling text;
begin
  select * into v_message from messages where id = p_message
    and coalesce(media ->> 'read', 'later') in ('failed', 'later');
  if not found then return '{"state": "over"}'; end if;
  insert into media (tenant_id, sha256, kind, bytes, created_at) values (p_tenant, p_hash, p_kind, p_bytes, v_now)
    on conflict (tenant_id, sha256) do nothing;
  select * into v_media from media where tenant_id = p_tenant and sha256 = p_hash for update;
  if v_media.words is not null then return jsonb_build_object('state', 'read', 'words', v_media.words); end if;
  if v_media.lease_until > v_now then return '{"state": "busy"}'; end if;
  if too_many_files(v_message, p_pages) then return '{"state": "many"}'; end if;
  if p_money is not null then
    v_ceiling := reserve_media(v_media, (p_money ->> 'usd')::numeric, p_money ->> 'model', p_money -> 'spend', v_now);
    if v_ceiling is not null then return jsonb_build_object('state', 'spent', 'ceiling', v_ceiling); end if;
  end if;
  update media set lease_until = v_now + make_interval(secs => p_lease_ms / 1000.0) where id = v_media.id
    returning * into v_media;
  -- who pays, see too_many_files and claim_turns
  update messages set media = coalesce(media, '{}') || jsonb_build_object('sha256', p_hash, 'paid', p_pages)
    where id = p_message;
  return jsonb_build_object('state', 'mine', 'lease', v_media.lease_until);
end $function$;
revoke all on function public.claim_media(bigint,text,text,text,integer,integer,jsonb,integer,timestamp with time zone) from public;
grant execute on function public.claim_media(bigint,text,text,text,integer,integer,jsonb,integer,timestamp with time zone) to service_role;
grant execute on function public.claim_media(bigint,text,text,text,integer,integer,jsonb,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.claim_notices(p_limit integer, p_lease_ms integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v_taken jsonb;
begin
  if not exists (select from notices where status in ('pending', 'handed') and due_at <= v_now) then return '[]';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('claim_notices', 13));
  perform add_notice(jsonb_build_object('tenant', d.tenant_id, 'key', 'held-' || to_char(v_now at time zone 'UTC',
    'YYYY-MM-DD"T"HH24:MI:SS'), 'kind', 'held', 'urgent', bool_or(d.urgent), 'text',
      format('Há avisos demais: %s esperam, %s deles urgentes. Vão no máximo 120 por hora, e mais 120 urgentes; os urgentes primeiro, e o que esperar mais de um dia não vai mais. Todos estão na tabela notices.',
        count(*), count(*) filter (where d.urgent))), v_now)
    from due_notices(v_now) d where d.held and not exists (select from notices h
      where h.tenant_id = d.tenant_id and h.kind = 'held' and h.created_at > v_now - interval '1 hour')
    group by d.tenant_id having min(d.created_at) <= v_now - interval '1 minute';
  with taken as (
    update notices n set claim = n.claim + 1, due_at = v_now + make_interval(secs => p_lease_ms / 1000.0)
      from (select d.id from due_notices(v_now) d where not d.held order by d.urgent desc, d.due_at, d.id
        limit p_limit) d
      where n.id = d.id and n.status in ('pending', 'handed') and n.due_at <= v_now returning n.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', t.id, 'claim', t.claim, 'tenant', t.tenant_id, 'kind', t.kind,
    'text', t.text, 'urgent', t.urgent, 'about', t.about, 'not_manager', t.not_manager,
      'attempts', t.attempts, 'age_seconds', extract(epoch from v_now - t.created_at), 'message_status',
        (select m.status from messages m where m.id = t.message_id))
    order by t.urgent desc, t.id), '[]') into v_taken from taken t;
  return v_taken;
end $function$;
revoke all on function public.claim_notices(integer,integer,timestamp with time zone) from public;
grant execute on function public.claim_notices(integer,integer,timestamp with time zone) to service_role;
grant execute on function public.claim_notices(integer,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.claim_push(p_worker text, p_lease_ms integer, p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v subscriptions; v_events jsonb; v_feed event_feeds;
begin
  for v in select * from subscriptions s where s.status = 'active' and s.due_at <= v_now
      and (s.lease_until is null or s.lease_until <= v_now) and (exists (select from events e
        where e.tenant_id = s.tenant_id and e.seq is null) or s.cursor < (select f.numbered from event_feeds f
          where f.tenant_id = s.tenant_id)) order by s.due_at, s.id for update skip locked loop
    perform number_events(v.tenant_id, 1000);
    select * into v_feed from event_feeds where tenant_id = v.tenant_id;
    select jsonb_agg(jsonb_build_object('seq', e.seq, 'event', event_envelope(e)) order by e.seq) into v_events
      from (select * from events where tenant_id = v.tenant_id and seq > v.cursor
        and (v.types is null or v.types ? type) order by seq limit p_limit) e;
    if v_events is null then
      update subscriptions set cursor = v_feed.numbered where id = v.id;
      continue;
    end if;
    update subscriptions set claim = claim + 1, worker = p_worker,
      lease_until = v_now + make_interval(secs => p_lease_ms / 1000.0) where id = v.id returning * into v;
    return jsonb_build_object('id', v.id, 'claim', v.claim, 'tenant', v.tenant_id, 'url', v.url, 'secret', v.secret,
      'previous', coalesce(v.previous_until > v_now, false), 'failures', v.failures, 'events', v_events);
  end loop;
  return null;
end $function$;
revoke all on function public.claim_push(text,integer,integer,timestamp with time zone) from public;
grant execute on function public.claim_push(text,integer,integer,timestamp with time zone) to service_role;
grant execute on function public.claim_push(text,integer,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.claim_restarts(p_reasons jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_now timestamptz := clock(p_now);
  v record;
  v_instance instances;
  v_taken jsonb := '[]';
begin
  for v in select s.* from (
      select i.id, case i.status when 'connecting' then 'connecting' else breaker_reason(i.name, p_reasons, v_now)
        end as reason from instances i
        where i.paired and i.deaf_since is null
          and (i.status in ('open', 'unknown')
          or (i.status = 'connecting' and i.status_at <= v_now - interval '30 seconds'))
      union all
      select i.id, 'deaf' from instances i where i.paired and i.status = 'open' and i.deaf_since is not null) s
      where s.reason is not null order by s.id loop
    -- looked at again under its lock: another caller may have taken it just now
    update instances i set restarts = restarts_in_row(i, v_now) + 1, restarted_at = v_now
      where i.id = v.id and (i.restarted_at is null or i.restarted_at <= v_now - least(interval '1 hour',
        make_interval(mins => power(2, least(restarts_in_row(i, v_now), 6))::int)))
      returning i.* into v_instance;
    continue when not found;
    perform note_instance(v_instance, 'restarted', v.reason, jsonb_build_object('in_row', v_instance.restarts), v_now);
    v_taken := v_taken || jsonb_build_object('instance', v_instance.name, 'reason', v.reason, 'restarts',
      v_instance.restarts);
  end loop;
  return v_taken;
end $function$;
revoke all on function public.claim_restarts(jsonb,timestamp with time zone) from public;
grant execute on function public.claim_restarts(jsonb,timestamp with time zone) to service_role;
grant execute on function public.claim_restarts(jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.claim_send(p_conversation bigint, p_policy jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_now timestamptz := clock(p_now);
  v_conversation conversations;
  v_message messages;
  v_instance instances;
  v_stop jsonb;
begin
  -- an empty lane is seen without a lock: a lock alone would make the commit wait for the disk. What is added meanwhile
  -- brings its own wake-up
  if not has_sends(p_conversation) then return jsonb_build_object('action', 'idle'); end if;
  select * into v_conversation from conversations where id = p_conversation for no key update;
  if not found or v_conversation.merged_into is not null then return jsonb_build_object('action', 'idle'); end if;

  -- one at a time: what is on its way, or may be, goes first
  select m.* into v_message from on_wire w join messages m on m.id = w.message_id
    where w.conversation_id = v_conversation.id order by w.message_id limit 1;
  if found then return await_send(v_conversation, v_message, v_now); end if;

  v_message := next_send(v_conversation.id, v_now);
  if v_message.id is null then return jsonb_build_object('action', 'idle'); end if;
  if v_message.due_at > v_now then
    return jsonb_build_object('action', 'wait', 'until', v_message.due_at, 'reason',
      coalesce(v_message.reason, 'scheduled'), 'message_id', v_message.id);
  end if;

  -- no key update: whoever only adds a message of this number need not wait
  select * into v_instance from instances where id = v_conversation.instance_id for no key update;
  if is_proactive(v_message.kind) then
    perform 1 from contacts where id = v_conversation.contact_id for no key update;
  end if;
  v_stop := first_guard(v_message, v_conversation, v_instance, p_policy, v_now);
  if v_stop is not null then return stop_send(v_message, v_stop, v_now); end if;

  if is_proactive(v_message.kind) and v_message.kind <> 'operator' and v_message.typing_until is null then
    perform take_pace(v_instance, v_message.kind, p_policy, v_now);
  end if;
  if v_message.typing_ms > 0 and v_message.typing_until is null then
    return show_typing(v_conversation, v_message, v_instance.name, v_now);
  end if;
  if v_message.kind = 'notification' then v_message := as_of_now(v_message, p_policy ->> 'tz', v_now); end if;
  return start_send(v_conversation, v_message, v_instance.name, (p_policy ->> 'leaseMs')::int, v_now);
end $function$;
revoke all on function public.claim_send(bigint,jsonb,timestamp with time zone) from public;
grant execute on function public.claim_send(bigint,jsonb,timestamp with time zone) to service_role;
grant execute on function public.claim_send(bigint,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.claim_sends(p_ids jsonb, p_policy jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_results jsonb[] := array_fill(null::jsonb, array[jsonb_array_length(p_ids)]);
  v_full bigint[] := array(select distinct x::bigint from jsonb_array_elements_text(p_ids) x
    where has_sends(x::bigint));
  v_id bigint;
  v_n bigint;
begin
  if cardinality(v_full) > 1 then
    perform lock_lanes(v_full);
    perform lock_numbers(v_full);
  end if;
  for v_id, v_n in select x::bigint, n from jsonb_array_elements_text(p_ids) with ordinality e (x, n) order by 1, 2 loop
    v_results[v_n] := case when v_id = any (v_full) then send_claim(v_id, p_policy, p_now)
      else jsonb_build_object('action', 'idle') end;
  end loop;
  return to_jsonb(v_results);
end $function$;
revoke all on function public.claim_sends(jsonb,jsonb,timestamp with time zone) from public;
grant execute on function public.claim_sends(jsonb,jsonb,timestamp with time zone) to service_role;
grant execute on function public.claim_sends(jsonb,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.claim_summary(p_conversation bigint, p_lease_ms integer, p_model text, p_spend jsonb DEFAULT NULL::jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_now timestamptz := clock(p_now); v_talk conversations; v_through bigint; v_before summaries; v_summary summaries;
  v_said jsonb; v_usd numeric; v_rate jsonb; v_room numeric; v_ceiling text;
begin
  select * into v_talk from conversations where id = p_conversation for no key update;
  v_through := summary_due(v_talk, v_now);
  if v_through is null then return null; end if;
  select * into v_before from summaries where conversation_id = v_talk.id and words is not null
    and through_seq < v_through order by through_seq desc limit 1;
  select coalesce(jsonb_agg(jsonb_build_object('author', s.author, 'type', s.type, 'text', s.text,
      'at', s.provider_at) order by s.seq), '[]') into v_said
    from (select case when m.kind = 'manual' then 'human' else m.author end as author, m.type,
        left(m.text, 8000) as text, m.provider_at, m.seq from messages m
      where m.conversation_id = v_talk.id and m.seq > coalesce(v_before.through_seq, 0) and m.seq <= v_through
        and m.deleted_at is null and m.refused_by is null and m.text <> ''
        and (m.direction = 'in' or was_said(m.status))
        and not coalesce(m.meaning ?| array['command', 'handset'], false) and m.kind is distinct from 'operator'
      order by m.seq desc limit 200) s;
  if v_said = '[]' then return null; end if;
  insert into summaries (tenant_id, conversation_id, through_seq, created_at)
    values (v_talk.tenant_id, v_talk.id, v_through, v_now)
    on conflict (conversation_id, through_seq) do nothing;
  select * into v_summary from summaries where conversation_id = v_talk.id and through_seq = v_through for update;
  perform settle_lost_summary(v_summary, v_now);
  if p_spend is not null then
    v_rate := coalesce(p_spend -> 'models' -> p_model, p_spend -> 'models' -> regexp_replace(p_model, '-\d{8}$', ''));
    v_usd := (v_rate ->> 'call')::numeric
      + (v_rate ->> 'byte')::numeric * (octet_length(v_said::text) + coalesce(octet_length(v_before.words), 0));
    perform lock_spend(v_talk.tenant_id);
    select r.room, r.ceiling into v_room, v_ceiling
      from spend_room(v_talk.tenant_id, v_talk.contact_id, p_spend, '{}', v_now) r;
    if v_usd is null or v_room < v_usd then
      return jsonb_build_object('ceiling', case when v_usd is null then 'unpriced' else v_ceiling end);
    end if;
    insert into spend_reservations (summary_id, tenant_id, contact_id, instance_id, model, usd, created_at)
      values (v_summary.id, v_talk.tenant_id, v_talk.contact_id, v_talk.instance_id, p_model, v_usd, v_now);
  end if;
  update summaries set attempts = attempts + 1, lease_until = v_now + make_interval(secs => p_lease_ms / 1000.0)
    where id = v_summary.id returning * into v_summary;
  return jsonb_build_object('id', v_summary.id, 'lease', v_summary.lease_until, 'before', v_before.words,
    'messages', v_said);
end $function$;
revoke all on function public.claim_summary(bigint,integer,text,jsonb,timestamp with time zone) from public;
grant execute on function public.claim_summary(bigint,integer,text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.claim_summary(bigint,integer,text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.claim_tool_write(p_id bigint, p_worker text, p_lease_ms integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v tool_writes;
begin
  update tool_writes set status = 'sending', claim = claim + 1, attempts = attempts + 1, worker = p_worker,
    sent_at = v_now, lease_until = v_now + make_interval(secs => p_lease_ms / 1000.0)
    where id = (select w.id from tool_writes w join conversations c on c.id = w.conversation_id
        join instances i on i.id = c.instance_id
      where w.status = 'queued' and w.due_at <= v_now and (p_id is null or w.id = p_id)
        and pause_reason(w.tenant_id, i.name, w.conversation_id, null) is null
      order by w.due_at limit 1 for update of w skip locked) returning * into v;
  if not found then return null; end if;
  return jsonb_build_object('id', v.id, 'claim', v.claim, 'tenant', v.tenant_id, 'conversation_id', v.conversation_id,
    'key', v.key, 'definition', v.definition, 'request', v.request, 'attempts', v.attempts);
end $function$;
revoke all on function public.claim_tool_write(bigint,text,integer,timestamp with time zone) from public;
grant execute on function public.claim_tool_write(bigint,text,integer,timestamp with time zone) to service_role;
grant execute on function public.claim_tool_write(bigint,text,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.claim_turn(p_conversation bigint, p_worker text, p_lease_ms integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_claim jsonb := claim_turns(jsonb_build_array(p_conversation), p_worker, p_lease_ms, null, p_now) -> 0;
begin
  return case v_claim ->> 'state' when 'claimed' then v_claim else v_claim - 'conversation_id' end;
end $function$;
revoke all on function public.claim_turn(bigint,text,integer,timestamp with time zone) from public;
grant execute on function public.claim_turn(bigint,text,integer,timestamp with time zone) to service_role;
grant execute on function public.claim_turn(bigint,text,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.claim_turns(p_ids jsonb, p_worker text, p_lease_ms integer, p_debounce jsonb DEFAULT NULL::jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone, p_reads boolean DEFAULT false, p_limits jsonb DEFAULT NULL::jsonb)
 RETURNS json
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
declare
  v_now timestamptz := clock(p_now);
  v_asked bigint[] := array(select x::bigint from jsonb_array_elements_text(p_ids) x);
  v_ids bigint[];
  v_id bigint;
  v_state jsonb;
  v_in_the_way jsonb := '{}'; -- {conversation: its result}
  v_money jsonb := '{}';      -- {conversation: what reserve_turns said}
  v_all json;
begin
  if p_debounce is not null then
    select coalesce(jsonb_object_agg(b.id, jsonb_build_object('conversation_id', b.id, 'state', 'early',
        'wait_ms', b.ms)), '{}') into v_in_the_way
      from (select a.id, burst_ms(a.id, p_debounce, v_now) as ms from (select distinct id from unnest(v_asked) id) a
        offset 0) b where b.ms is not null;
  end if;
  if p_reads and (exists (select from inbox x join messages m on m.id = x.message_id
      where x.conversation_id = any (v_asked) and m.type in ('audio', 'image', 'document', 'video'))
    or exists (select from media_waits w where w.conversation_id = any (v_asked) and w.next_at <= v_now)) then
    select v_in_the_way || coalesce(jsonb_object_agg(b.id, jsonb_build_object('conversation_id', b.id, 'state', 'media',
        'items', b.items)), '{}') into v_in_the_way
      from (select a.id, unread_media(a.id, v_now) as items from (select distinct id from unnest(v_asked) id) a
        where not v_in_the_way ? a.id::text offset 0) b where b.items is not null;
  end if;
  v_ids := array(select distinct id from unnest(v_asked) id where not v_in_the_way ? id::text order by id);
  perform lock_lanes(v_ids);
  v_now := clock(p_now); -- whoever had a lock has ended by now: a turn begins after the one before it
  for v_id in select i.id from unnest(v_ids) i (id) where exists (select from inbox x where x.conversation_id = i.id
      and x.command) or exists (select from turns t where t.conversation_id = i.id and t.status = 'open')
    order by i.id
  loop
    v_state := turn_in_the_way(v_id, p_lease_ms, v_now);
    if v_state is not null then
      v_in_the_way := v_in_the_way || jsonb_build_object(v_id, v_state || jsonb_build_object('conversation_id', v_id));
    end if;
  end loop;
  -- what waited for the model was deleted, or answered otherwise
  perform end_deferral(c.id) from conversations c where c.id = any (v_ids) and c.deferred_since is not null
    and not v_in_the_way ? c.id::text and not exists (select from inbox x where x.conversation_id = c.id);

  -- nearly always nothing waits, and the question is all that it costs
  if p_limits ->> 'replyCapHour' is not null and exists (select from conversations c where c.id = any (v_ids)
    and (c.deferred_reason in ('replies_wait', 'answer_withdrawn')
      or exists (select from outbox o where o.instance_id = c.instance_id and not is_proactive(o.kind)
        and waits_long(o.reason))
      or exists (select from conversations w where w.instance_id = c.instance_id
        and w.deferred_reason = 'answer_withdrawn')))
  then
    v_in_the_way := v_in_the_way || wait_for_room(array(select id from unnest(v_ids) id
      where not v_in_the_way ? id::text), (p_limits ->> 'replyCapHour')::int, v_now);
  end if;

  if p_limits ? 'spend' then
    v_money := reserve_turns(array(select id from unnest(v_ids) id where not v_in_the_way ? id::text),
      p_limits -> 'spend', v_now);
  end if;

  with waiting as materialized (
      select c.id, p.correlation_id, p.asks_identity, silenced_by(c, v_now) as silenced, agent_of(i) as agent, i.name,
        -- asked again where the silence is: a pause may have ended since, and then its pictures are to be read
        case when p_reads and p.has_media then unread_media(c.id, v_now) end as unread
      from conversations c join instances i on i.id = c.instance_id
        cross join lateral (select min(m.correlation_id) as correlation_id, count(*) as n,
            bool_or(coalesce(m.meaning ->> 'intent' = 'bot_question', false)) as asks_identity,
            bool_or(m.type in ('audio', 'image', 'document', 'video')) as has_media
          from inbox x join messages m on m.id = x.message_id where x.conversation_id = c.id) p
      where c.id = any (v_ids) and not v_in_the_way ? c.id::text and p.n > 0),
    fenced as (
      -- told in an outage that is over, since the model has answered somebody: the next one is told again
      update conversations c set fence = fence + 1, apologised_at = case when c.apologised_at is not null
          and (c.deferred_since is not null or not exists (select from turns t where t.started_at > c.apologised_at
            and t.status = 'committed' and t.model is not null)) then c.apologised_at end
        from waiting w where c.id = w.id and w.unread is null and coalesce(w.silenced not like 'paused\_%', true)
        returning c.*),
    opened as (
      insert into turns (tenant_id, conversation_id, agent_id, fence, lease_until, worker, inbound_seq, correlation_id,
        started_at)
        select f.tenant_id, f.id, (w.agent).id, f.fence, v_now + make_interval(secs => p_lease_ms / 1000.0), p_worker,
          f.inbound_seq, w.correlation_id, v_now from fenced f join waiting w on w.id = f.id
        returning id, conversation_id),
    reserved as (
      insert into spend_reservations (turn_id, tenant_id, contact_id, instance_id, model, usd, created_at)
        select o.id, f.tenant_id, f.contact_id, f.instance_id, v_money -> o.conversation_id::text ->> 'model',
          (v_money -> o.conversation_id::text ->> 'usd')::numeric, v_now from opened o
          join fenced f on f.id = o.conversation_id where v_money -> o.conversation_id::text ? 'usd'),
    taken as (
      update messages m set turn_id = o.id from opened o join inbox x on x.conversation_id = o.conversation_id
        where m.id = x.message_id),
    claimed as (
      select 'claimed' as state, o.id as turn_id, c.fence, v_now as now, c.id as conversation_id, c.tenant_id,
        coalesce(w.silenced, 'agent') as holder, c.escalation_reason,
        coalesce(c.takeover_until > v_now, false) as attended, c.mode,
        (select h.id from handoffs h where h.conversation_id = c.id and h.controls and h.status <> 'returned')
          as open_handoff,
        case when c.quiet_until > v_now then json_build_object('reason', c.quiet_reason, 'until', c.quiet_until) end
          as quiet,
        (select json_build_object('turns', count(*), 'tokens',
            coalesce(sum(t.input_tokens + t.output_tokens + t.cache_read_tokens + t.cache_write_tokens), 0)
            + (select coalesce(sum(k.input_tokens + k.output_tokens + k.cache_read_tokens + k.cache_write_tokens), 0)
              from conversations e join messages m on m.conversation_id = e.id
                join media f on f.tenant_id = m.tenant_id and f.sha256 = m.media ->> 'sha256'
                join model_calls k on k.media_id = f.id
              where e.contact_id = c.contact_id and m.media ? 'sha256' and m.media ? 'paid'
                and m.created_at > v_now - interval '2 days' and k.created_at > v_now - interval '1 day'))
          from conversations d join turns t on t.conversation_id = d.id where d.contact_id = c.contact_id
            and t.started_at > v_now - interval '1 day' and t.model is not null and t.status <> 'deferred') as today,
        case when w.asks_identity then (select n.settings ->> 'identity' from tenants n where n.id = c.tenant_id) end
          as identity,
        c.failed_in_row, c.failing_since, c.superseded_in_row, c.deferred_since, c.deferred_reason,
        c.apologised_at, v_money -> c.id::text as money,
        c.deferred_since is not null and passed_over(c) as passed_over, c.previous_answer,
        (select json_agg(row_to_json(q)) from (
          select m.id, m.type, m.text, m.typed, m.provider_at as at, m.provider_id, m.created_at,
            m.meaning ->> 'intent' as intent, m.refused_by, case when m.media ->> 'read' = 'words'
              and m.type in ('image', 'document') then m.media ->> 'sha256' end as file,
            case when q.v is null then m.quoted_text
              else q.v ->> 'quoted_text' end as quoted_text, q.v ->> 'quoted_author' as quoted_author
          from inbox x join messages m on m.id = x.message_id
            cross join lateral (select case when m.quoted_id is not null then quote_of(m) end as v offset 0) q
          where x.conversation_id = c.id
          order by m.provider_at, m.seq) q) as pending,
        -- WhatsApp tells the time of an inbound message in whole seconds, ours are finer: within a second the order of
        -- arrival counts. The window holds 80 to 119 messages and moves in steps of 40: with each step the model's
        -- cache loses all of the history. What is older is known by a summary, and by the facts that were noted.
        (select coalesce(json_agg(row_to_json(h)), '[]') from (
          -- what a person wrote by the API or the console is that person's, to the model too
          select m.id, m.direction, case when m.kind = 'manual' then 'human' else m.author end as author, m.type,
            case when m.deleted_at is null then coalesce(m.seen ->> 'text', m.text) end as text,
            case when m.seen is null then m.typed else m.seen ->> 'typed' end as typed,
            case when m.seen is not null then json_build_object('at', coalesce(m.deleted_at, m.edited_at), 'text',
              case when m.deleted_at is null then m.text end, 'typed', m.typed) end as changed,
            m.provider_at as at, m.status, m.refused_by, case when q.v is null then m.quoted_text
              else q.v ->> 'quoted_text' end as quoted_text, q.v ->> 'quoted_author' as quoted_author
          from messages m
            cross join lateral (select case when m.quoted_id is not null then quote_of(m) end as v offset 0) q
          where m.conversation_id = c.id and m.seq > greatest(0, (c.last_seq / 40 - 2) * 40)
            and not (m.direction = 'in' and m.status = 'received')
            and not coalesce(m.meaning ?| array['command', 'handset'], false) and m.kind is distinct from 'operator'
            and (m.direction = 'in' or was_said(m.status)
              -- not said, and shown as such: the rest of an answer that waits for its turn on the wire, or was
              -- withdrawn after its beginning had left
              or (m.status = 'queued' and not is_proactive(m.kind) and m.turn_id is not null
                and m.type <> 'reaction')
              or (m.status = 'cancelled' and m.type <> 'reaction' and m.reason = 'contact_wrote' and exists (select
                from messages s where s.turn_id = m.turn_id and s.direction = 'out' and was_said(s.status))))
          order by date_trunc('second', m.provider_at), m.seq) h) as history,
        c.jid, w.correlation_id, summary_of(c) as summary, summary_due(c, v_now) is not null as summarise,
        -- what a newer fact has replaced of late may stand in the history as it was read
        (select json_build_object('id', k.id, 'name', k.name, 'memory', (select coalesce(json_agg(json_build_object(
              'fact', f.fact, 'at', f.noted_at, 'until', f.replaced_at) order by f.noted_at, f.id), '[]')
            from contact_facts f where f.contact_id = k.id
              and (f.replaced_at is null or f.replaced_at > v_now - interval '7 days')),
          'phone', (select a.address
            from contact_addresses a where a.contact_id = k.id and a.kind = 'pn' limit 1))
          from contacts k where k.id = c.contact_id) as contact,
        case when (w.agent).id is not null then row_to_json(w.agent) end as agent,
        json_build_object('id', c.instance_id, 'name', w.name) as instance,
        (select coalesce(json_agg(json_build_object('scope', d.scope, 'text', d.text) order by d.id), '[]')
          from directives d where d.tenant_id = c.tenant_id and d.status = 'active'
            and coalesce(d.ends_at > v_now, true) and case d.scope when 'global' then true
              when 'agent' then d.target = (w.agent).slug when 'contact' then d.target = c.contact_id::text
              else exists (select from messages m where m.conversation_id = c.id and m.campaign_id = d.target
                and m.slot_at > v_now - interval '7 days') end) as directives,
        exists (select from standing_opt_out(c.contact_id)) as opted_out
      from fenced c join waiting w on w.id = c.id join opened o on o.conversation_id = c.id)
  select json_agg(case
      when i.again > 1 and (s.claim is not null or v_in_the_way -> i.id::text ->> 'state' = 'command')
        then json_build_object('conversation_id', i.id, 'state', 'busy', 'until',
          v_now + make_interval(secs => p_lease_ms / 1000.0), 'wait_ms', p_lease_ms)
      when s.claim is not null then s.claim
      when v_in_the_way ? i.id::text then (v_in_the_way -> i.id::text)::json
      when w.unread is not null then json_build_object('conversation_id', i.id, 'state', 'media', 'items', w.unread)
      when w.id is not null then json_build_object('conversation_id', i.id, 'state', 'paused', 'reason',
        substr(w.silenced, length('paused_') + 1))
      else json_build_object('conversation_id', i.id, 'state', 'idle') end order by i.n)
    into v_all
    from (select u.id, u.n, row_number() over (partition by u.id order by u.n) as again
        from unnest(v_asked) with ordinality u (id, n)) i
      left join (select conversation_id, row_to_json(claimed) as claim from claimed) s on s.conversation_id = i.id
      left join waiting w on w.id = i.id;
  return v_all;
end $function$;
revoke all on function public.claim_turns(jsonb,text,integer,jsonb,timestamp with time zone,boolean,jsonb) from public;
grant execute on function public.claim_turns(jsonb,text,integer,jsonb,timestamp with time zone,boolean,jsonb) to service_role;
grant execute on function public.claim_turns(jsonb,text,integer,jsonb,timestamp with time zone,boolean,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.clock(p_now timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE sql
AS $function$ select coalesce(p_now, clock_timestamp()) $function$;
revoke all on function public.clock(timestamp with time zone) from public;
grant execute on function public.clock(timestamp with time zone) to service_role;
grant execute on function public.clock(timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.close_handoff(p_message public.messages, p_reason text, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE sql
AS $function$
  update handoffs h set status = 'returned', returned_at = p_now, returned_by = 'settled'
    where h.conversation_id = p_message.conversation_id and h.reason = p_reason and not h.controls
      and h.status <> 'returned'
      and not exists (select from messages o where o.conversation_id = h.conversation_id and o.id <> p_message.id
        and (o.status in ('failed', 'unproven') or (o.status = 'handed_over' and o.created_at >= h.created_at)))
$function$;
revoke all on function public.close_handoff(public.messages,text,timestamp with time zone) from public;
grant execute on function public.close_handoff(public.messages,text,timestamp with time zone) to service_role;
grant execute on function public.close_handoff(public.messages,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.close_session(p_session text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  delete from sessions where hash = p_session;
  return '{}';
end $function$;
revoke all on function public.close_session(text) from public;
grant execute on function public.close_session(text) to service_role;
grant execute on function public.close_session(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.comes_from_manager(p_instance public.instances, p_event jsonb, p_options jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$ select coalesce(p_event -> 'chat' ->> 'pn' = p_options ->> 'managerPhone'
  and p_instance.name = p_options ->> 'managerInstance', false) $function$;
revoke all on function public.comes_from_manager(public.instances,jsonb,jsonb) from public;
grant execute on function public.comes_from_manager(public.instances,jsonb,jsonb) to service_role;
grant execute on function public.comes_from_manager(public.instances,jsonb,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.complete_message(p_message bigint, p_event jsonb, p_meaning jsonb, p_verdict text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_from_me boolean := (p_event ->> 'fromMe')::boolean;
  v_is_machine boolean := coalesce((p_event ->> 'machine')::boolean, false);
begin
  update messages set type = p_event -> 'content' ->> 'type', text = event_text(p_event),
    typed = p_event -> 'content' ->> 'typed', meaning = p_meaning,
    media = nullif(p_event -> 'content' -> 'media', 'null'), wordless = false, refused_by = null,
    quoted_id = p_event -> 'quoted' ->> 'providerId', quoted_text = p_event -> 'quoted' ->> 'text', deleted_at = null,
    turn_id = null, author = event_author(v_from_me, p_verdict),
    status = case when v_from_me then 'sent' when v_is_machine then 'skipped' else 'received' end,
    reason = case when v_from_me then nullif(p_verdict, 'person') when v_is_machine then 'whatsapp_machine' end
    where id = p_message;
end $function$;
revoke all on function public.complete_message(bigint,jsonb,jsonb,text) from public;
grant execute on function public.complete_message(bigint,jsonb,jsonb,text) to service_role;
grant execute on function public.complete_message(bigint,jsonb,jsonb,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.complete_plain(p_items jsonb, p_policy jsonb, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
declare v_all jsonb; v_lease timestamptz := p_now + make_interval(secs => (p_policy ->> 'leaseMs')::int / 1000.0);
begin
  if p_policy is not null then
    perform lock_numbers(array(select i.conversation_id from jsonb_to_recordset(p_items) i (conversation_id bigint,
      send boolean) where i.send));
  end if;
  with items as materialized (
      select i.n, i.result, i.send, t.id as turn_id, t.correlation_id, c as conversation, c.id, c.contact_id,
        c.instance_id, c.last_seq, c.jid, row_number() over (partition by i.turn order by i.n) as again
      from rows from (jsonb_to_recordset(p_items) as (turn bigint, fence bigint, result jsonb, send boolean))
          with ordinality as i (turn, fence, result, send, n)
        join turns t on t.id = i.turn join conversations c on c.id = t.conversation_id
      where is_plain_answer(i.result) and t.status = 'open' and t.fence = i.fence and c.fence = i.fence
        and c.inbound_seq <= t.inbound_seq and c.mode <> 'assist' and c.apologised_at is null
        and not exists (select from model_calls m where m.turn_id = t.id)
        and silenced_by(c, p_now, null, t.started_at) is null),
    plain as materialized (
      select p.*, coalesce(jsonb_array_length(p.result -> 'parts'), 0) as parts,
        -- what claim_send would ask, for an answer that was written at this moment
        p_policy is not null and p.send and coalesce((f.part ->> 'typing_ms')::int, 0) = 0
          and i.status not in ('close', 'connecting', 'refused')
          and not has_sends(p.id) and not is_foreign(p_policy ->> 'projectRef')
          and in_allowlist(p.contact_id, p_policy) and share_free_at(p.conversation, l.cap, p_now) is null as may_leave,
        i.name, l.cap, f.n as first
      from items p join instances i on i.id = p.instance_id
        cross join lateral (select coalesce(i.reply_cap_hour, (p_policy ->> 'replyCapHour')::int) as cap) l
        -- the first of the lane, see next_send: the offer of a person comes behind an answer
        left join lateral (select e.part, e.n from jsonb_array_elements(p.result -> 'parts') with ordinality e (part, n)
          order by e.part ->> 'kind' is not distinct from 'handoff', e.n limit 1) f on true
      where p.again = 1),
    room as materialized (
      select g.instance_id,
        free_at(g.instance_id, 'reply', interval '1 hour', g.cap - g.n::int + 1, null, p_now) is null as is_there
      from (select instance_id, cap, count(*) as n from plain where may_leave and parts > 0 group by 1, 2) g),
    calls as (
      insert into model_calls (tenant_id, turn_id, model, outcome, ms, input_tokens, output_tokens, thinking_tokens,
        cache_read_tokens, cache_write_tokens, cost_usd, estimated, detail, cache_miss)
        select (p.conversation).tenant_id, p.turn_id, r.model, r.outcome, r.ms, r.input_tokens, r.output_tokens,
          coalesce(r.thinking_tokens, 0), r.cache_read_tokens, r.cache_write_tokens, r.cost_usd,
          coalesce(r.estimated, false), r.detail, r.cache_miss
        from plain p cross join model_calls_of(p.result) r returning tenant_id, turn_id, cost_usd),
    spent as (
      insert into spend_days as s (tenant_id, day, kind, instance_id, backend, usd, calls, unpriced, units)
        select c.tenant_id, spend_day(p_now), 'model', p.instance_id, pg_backend_pid(), coalesce(sum(c.cost_usd), 0),
          count(*), count(*) filter (where c.cost_usd is null), 0
          from calls c join plain p on p.turn_id = c.turn_id group by c.tenant_id, p.instance_id
        on conflict (tenant_id, day, kind, instance_id, backend) do update set usd = s.usd + excluded.usd,
          calls = s.calls + excluded.calls, unpriced = s.unpriced + excluded.unpriced),
    settled as (delete from spend_reservations r using plain p where r.turn_id = p.turn_id),
    turn as (
      update turns t set status = 'committed', reason = p.result ->> 'reason', ended_at = p_now,
          model = coalesce(p.result ->> 'model', t.model), prompt_hash = p.result ->> 'prompt_hash',
          verdict = p.result ->> 'verdict', route = p.result ->> 'route',
          agent_id = coalesce((p.result ->> 'agent_id')::bigint, t.agent_id),
          transcript = coalesce(p.result -> 'transcript', t.transcript), input_tokens = s.i, output_tokens = s.o,
          thinking_tokens = s.t, cache_read_tokens = s.r, cache_write_tokens = s.w, cost_usd = s.c,
          unpriced_calls = s.u
        from plain p cross join lateral (select coalesce(sum(input_tokens), 0) i, coalesce(sum(output_tokens), 0) o,
            coalesce(sum(thinking_tokens), 0) t, coalesce(sum(cache_read_tokens), 0) r,
            coalesce(sum(cache_write_tokens), 0) w, coalesce(sum(cost_usd), 0) c,
            count(*) filter (where cost_usd is null) u from model_calls_of(p.result)) s
        where t.id = p.turn_id),
    answered as (
      update messages m set status = 'answered' from plain p join inbox x on x.conversation_id = p.id
        where m.id = x.message_id and m.turn_id = p.turn_id returning m.turn_id, m.created_at),
    said as (
      insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text,
        provider_at, turn_id, correlation_id, kind, priority, part, typing_ms, due_at, created_at,
        claim, attempts, claimed_at, slot_at, sent_to, wire_id, lease_until)
        select (p.conversation).tenant_id, p.instance_id, p.id, p.last_seq + r.n, 'out', 'agent', 'text',
          case when l.leaves then 'sending' else 'queued' end, r.part ->> 'text', p_now, p.turn_id, p.correlation_id,
          coalesce(r.part ->> 'kind', 'reply'), case r.part ->> 'kind' when 'handoff' then 1 else 0 end, r.n,
          coalesce((r.part ->> 'typing_ms')::int, 0), p_now, p_now, l.leaves::int, l.leaves::int,
          case when l.leaves then p_now end, case when l.leaves then p_now end, case when l.leaves then p.jid end,
          case when l.leaves then new_wire_id() end, case when l.leaves then v_lease end
        from plain p left join room on room.instance_id = p.instance_id
          cross join lateral jsonb_array_elements(p.result -> 'parts') with ordinality r (part, n)
          cross join lateral (select r.n = p.first and p.may_leave and room.is_there as leaves) l
        returning id, conversation_id, status, type, text, kind, part, turn_id, correlation_id, created_at, wire_id),
    conversation as (
      update conversations c set last_seq = c.last_seq + p.parts, failed_in_row = 0, failing_since = null,
          deferred_since = null, deferred_until = null, deferred_reason = null,
          superseded_in_row = case when p.parts > 0 then c.superseded_in_row else 0 end,
          previous_answer = case when p.result ->> 'answer_id' is null then c.previous_answer
            else jsonb_build_object('id', p.result ->> 'answer_id', 'at', p_now) end
        from plain p where c.id = p.id)
  select coalesce(jsonb_object_agg(p.n, jsonb_build_object('outcome', 'committed', 'parts', p.parts, 'draft', false,
      'pending_ms', in_ms(p_now, (select x.created_at from inbox x join messages m on m.id = x.message_id
        where x.conversation_id = p.id and m.turn_id is distinct from p.turn_id order by x.seq limit 1)), 'send', null)
      || case when p.send and p.parts > 0 and s.id is null then '{"ask": true}'
        when s.id is not null then jsonb_build_object('send', jsonb_build_object('action', 'send',
        'message_id', s.id, 'claim', 1, 'instance', p.name, 'number', dial(p.contact_id, p.jid), 'wire_id', s.wire_id,
        'type', s.type, 'text', s.text, 'quoted_id', null, 'quoted_text', null, 'kind', s.kind, 'attempts', 1,
        'conversation_id', p.id, 'contact_id', p.contact_id, 'turn_id', p.turn_id, 'part', s.part,
        'correlation_id', s.correlation_id, 'created_at', s.created_at, 'now', p_now,
        'inbound_at', (select min(a.created_at) from answered a where a.turn_id = p.turn_id)))
        else '{}' end), '{}')
    into v_all from plain p left join said s on s.conversation_id = p.id and s.status = 'sending';
  return v_all;
end $function$;
revoke all on function public.complete_plain(jsonb,jsonb,timestamp with time zone) from public;
grant execute on function public.complete_plain(jsonb,jsonb,timestamp with time zone) to service_role;
grant execute on function public.complete_plain(jsonb,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.complete_turn(p_turn bigint, p_fence bigint, p_result jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_now timestamptz := clock(p_now);
  v_kind text := p_result ->> 'kind';
  v_conversation conversations;
  v_turn turns;
  v_stop text;
  v_draft boolean;
  v_count int := 0;
begin
  select c.* into v_conversation from conversations c join turns t on t.conversation_id = c.id
    where t.id = p_turn for no key update of c;
  select * into v_turn from turns where id = p_turn for update;
  perform record_model_calls(v_turn, p_result, v_now);
  if v_turn.status <> 'open' or v_turn.fence <> p_fence or v_conversation.fence <> p_fence then
    return jsonb_build_object('outcome', 'lost');
  end if;
  if jsonb_array_length(p_result -> 'tool_calls') > 0 then
    perform record_tool_calls(v_turn, p_result -> 'tool_calls');
  end if;
  perform mark_refused(v_turn, p_result -> 'model_calls') where p_result -> 'model_calls' @> '[{"outcome": "refusal"}]';

  if v_kind = 'deferred' then return defer_turn(v_conversation, v_turn, p_result, v_now); end if;
  if v_kind = 'failed' then return fail_turn(v_turn, p_result ->> 'reason', v_now); end if;
  if v_kind = 'aborted' or (v_kind = 'answer' and wrote_again(v_conversation, v_turn)) then
    return supersede_turn(v_turn, p_result ->> 'reason', v_now);
  end if;
  if v_kind = 'answer' then
    v_stop := answer_stop(v_conversation, v_turn, v_now);
    if v_stop is not null then return suppress_turn(v_conversation, v_turn, v_stop, v_now); end if;
  end if;

  -- what the model wrote waits for a person's yes; the product's own lines do not
  v_draft := v_kind = 'answer' and v_conversation.mode = 'assist' and p_result ->> 'model' is not null;
  perform settle_turn(v_turn, p_result, v_draft, v_now);
  if v_conversation.apologised_at is not null then perform cancel_apology(v_conversation.id); end if;
  if (p_result ->> 'forward')::boolean then perform note_forward(v_conversation.id, p_turn, v_now); end if;
  if jsonb_array_length(p_result -> 'effects') > 0 then
    v_count := apply_effects(v_conversation, v_turn, p_result -> 'effects', v_draft, v_now);
  end if;
  v_count := v_count + queue_parts(v_conversation, v_turn, p_result -> 'parts', v_count, v_draft, v_now);
  update conversations set last_seq = last_seq + v_count where id = v_conversation.id;
  return jsonb_build_object('outcome', 'committed', 'parts', v_count, 'draft', v_draft and v_count > 0,
    'first_pending_at', first_pending(v_conversation.id));
end $function$;
revoke all on function public.complete_turn(bigint,bigint,jsonb,timestamp with time zone) from public;
grant execute on function public.complete_turn(bigint,bigint,jsonb,timestamp with time zone) to service_role;
grant execute on function public.complete_turn(bigint,bigint,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.complete_turns(p_items jsonb, p_policy jsonb DEFAULT NULL::jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_done jsonb;
  v_result jsonb;
  v_item jsonb;
  v_n bigint;
begin
  perform lock_lanes(array(select (x ->> 'conversation_id')::bigint from jsonb_array_elements(p_items) x));
  v_done := complete_plain(p_items, p_policy, clock(p_now));
  for v_item, v_n in select x, n from jsonb_array_elements(p_items) with ordinality e (x, n)
    where not v_done ? n::text order by (x ->> 'conversation_id')::bigint, n loop
    v_result := complete_turn((v_item ->> 'turn')::bigint, (v_item ->> 'fence')::bigint, v_item -> 'result', p_now);
    v_done := v_done || jsonb_build_object(v_n, v_result || jsonb_build_object('send', null, 'pending_ms',
      in_ms(clock(p_now), (v_result ->> 'first_pending_at')::timestamptz), 'ask', (v_item ->> 'send')::boolean
        and v_result ->> 'outcome' = 'committed' and (v_result ->> 'parts')::int > 0));
  end loop;
  return claim_asked(p_items, v_done, 'send', p_policy, p_now);
end $function$;
revoke all on function public.complete_turns(jsonb,jsonb,timestamp with time zone) from public;
grant execute on function public.complete_turns(jsonb,jsonb,timestamp with time zone) to service_role;
grant execute on function public.complete_turns(jsonb,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.confirm_address(p_contact bigint, p_jid text)
 RETURNS void
 LANGUAGE sql
AS $function$
  update contact_addresses set written = split_part(p_jid, '@', 1)
    where p_jid like '%@s.whatsapp.net' and id = address_row(p_contact, p_jid)
    and written is distinct from split_part(p_jid, '@', 1)
$function$;
revoke all on function public.confirm_address(bigint,text) from public;
grant execute on function public.confirm_address(bigint,text) to service_role;
grant execute on function public.confirm_address(bigint,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.confirm_webhook_secret(p_instance text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update instances set webhook_secret_since = clock(p_now) where name = p_instance and webhook_secret is not null
    and webhook_secret_since is null;
  return '{}';
end $function$;
revoke all on function public.confirm_webhook_secret(text,timestamp with time zone) from public;
grant execute on function public.confirm_webhook_secret(text,timestamp with time zone) to service_role;
grant execute on function public.confirm_webhook_secret(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.console_news(p_seen text, p_threads jsonb, p_sessions jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_state text := pg_current_snapshot()::text; v_now timestamptz := clock(p_now);
begin
  if v_state = p_seen then return jsonb_build_object('state', v_state); end if;
  return jsonb_build_object('state', v_state,
    'lists', (select coalesce(jsonb_object_agg(t.id, md5(concat_ws('/',
      (select string_agg(m.id || m.status, ',') from (select n.id, n.status from messages n where n.tenant_id = t.id
        order by n.id desc limit 20) m),
      (select concat_ws(',', count(*), max(id), max(taken_at)) from handoffs where status <> 'returned'
        and tenant_id = t.id),
      (select concat_ws(',', count(*), max(message_id)) from drafts where tenant_id = t.id),
      (select max(id) from julia_status),
      (select concat_ws(',', count(*), max(updated_at)) from conversations where tenant_id = t.id
        and (controlled_by = 'human' or mode <> 'auto' or takeover_until is not null or quiet_until is not null))))),
      '{}') from (select distinct x ->> 'tenant' as id from jsonb_array_elements(p_threads) x) t),
    'threads', (select coalesce(jsonb_object_agg(c.tenant_id || '/' || c.id,
      md5(concat_ws('/', c.updated_at, c.taken_by, (select
        string_agg(concat_ws(',', m.id, m.status, m.reason, m.delivered_at, m.read_at, m.edited_at, m.deleted_at,
          m.goes_at, length(m.text)), ';' order by m.seq) from (select * from messages x where x.conversation_id = c.id
        order by x.seq desc limit 60) m),
        (select max(id) from julia_status)))), '{}') from (select distinct x ->> 'tenant' as tenant,
        (x ->> 'id')::bigint as id from jsonb_array_elements(p_threads) x) s
        join conversations c on c.id = s.id and c.tenant_id = s.tenant),
    'over', (select coalesce(jsonb_agg(x.hash), '[]') from jsonb_array_elements_text(p_sessions) x (hash)
      where not exists (select from sessions s join users u on u.id = s.user_id where s.hash = x.hash
        and session_counts(s, v_now)
        and u.disabled_at is null)));
end $function$;
revoke all on function public.console_news(text,jsonb,jsonb,timestamp with time zone) from public;
grant execute on function public.console_news(text,jsonb,jsonb,timestamp with time zone) to service_role;
grant execute on function public.console_news(text,jsonb,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.contact_at(p_instance public.instances, p_pn text, p_lid text)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_id bigint;
begin
  if p_pn is not null then select contact_id into v_id from contact_addresses
    where kind = 'pn' and tenant_id = p_instance.tenant_id and address = p_pn; end if;
  if v_id is null and p_lid is not null then select contact_id into v_id from contact_addresses
    where kind = 'lid' and instance_id = p_instance.id and address = p_lid; end if;
  return v_id;
end $function$;
revoke all on function public.contact_at(public.instances,text,text) from public;
grant execute on function public.contact_at(public.instances,text,text) to service_role;
grant execute on function public.contact_at(public.instances,text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.contact_free_at(p_contact bigint, p_offers boolean, p_window interval, p_cap integer, p_now timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_at timestamptz;
begin
  if p_cap is null then return null; end if;
  if p_cap = 0 then return p_now + p_window; end if;
  select s.at into v_at from (
    select l.slot_at as at from conversations c join slots l on l.conversation_id = c.id
      where c.contact_id = p_contact and not l.reply and not is_notice(l.kind) and (is_offer(l.kind) or not p_offers)
    union all
    select p_now from conversations c join on_wire w on w.conversation_id = c.id
      where c.contact_id = p_contact and is_proactive(w.kind) and not is_notice(w.kind)
        and (is_offer(w.kind) or not p_offers)) s
    where s.at > p_now - p_window order by s.at desc offset p_cap - 1 limit 1;
  return v_at + p_window;
end $function$;
revoke all on function public.contact_free_at(bigint,boolean,interval,integer,timestamp with time zone) from public;
grant execute on function public.contact_free_at(bigint,boolean,interval,integer,timestamp with time zone) to service_role;
grant execute on function public.contact_free_at(bigint,boolean,interval,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.contact_with_merged(p_contact bigint)
 RETURNS bigint[]
 LANGUAGE sql
 STABLE
AS $function$
  with recursive them as (select p_contact as id union select c.id
    from contacts c join them on c.merged_into = them.id) select array_agg(id) from them
$function$;
revoke all on function public.contact_with_merged(bigint) from public;
grant execute on function public.contact_with_merged(bigint) to service_role;
grant execute on function public.contact_with_merged(bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.conversation_holder(p public.conversations, p_now timestamp with time zone)
 RETURNS text
 LANGUAGE sql
 STABLE
AS $function$
  select case when p.controlled_by = 'human' then 'human' when p.mode <> 'manual' and is_observed(p) then 'observe'
    when p.takeover_until > p_now then 'takeover'
    when p.mode = 'manual' then 'manual' else 'agent' end
$function$;
revoke all on function public.conversation_holder(public.conversations,timestamp with time zone) from public;
grant execute on function public.conversation_holder(public.conversations,timestamp with time zone) to service_role;
grant execute on function public.conversation_holder(public.conversations,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.conversation_of(p_tenant text, p_key text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('message_id', m.id, 'conversation_id', m.conversation_id) from messages m
  where m.tenant_id = p_tenant and (m.provider_id = p_key or m.id = case when p_key ~ '^[0-9]{1,15}$'
    then p_key::bigint end)
  order by (m.provider_id = p_key) desc nulls last limit 1
$function$;
revoke all on function public.conversation_of(text,text) from public;
grant execute on function public.conversation_of(text,text) to service_role;
grant execute on function public.conversation_of(text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.conversation_rows(p_ids bigint[], p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'name', k.name, 'phone', a.address, 'instance', i.name,
    'holder', conversation_holder(c, p_now), 'taken_by', c.taken_by, 'mode', c.mode,
    'paused', coalesce(pause_status('conversation', c.id::text, c.tenant_id) = 'pausado', false),
    'quiet_until', case when c.quiet_until > p_now then c.quiet_until end,
    'waits_since', case when h.id is not null and h.taken_at is null then h.created_at
      when l.direction = 'in' and (h.id is not null or waits_for_person(c)) then l.created_at
      when d.n > 0 then d.since end,
    'reason', coalesce(h.reason, c.escalation_reason), 'drafts', d.n,
    'last', case when l.id is not null then jsonb_build_object('text', left(l.text, 200), 'type', l.type, 'direction',
      l.direction, 'author', case when l.kind = 'manual' then 'human' else l.author end, 'status', l.status, 'at',
      l.created_at) end) order by x.n), '[]')
  from unnest(p_ids) with ordinality x (id, n) join conversations c on c.id = x.id
    join instances i on i.id = c.instance_id join contacts k on k.id = c.contact_id
    left join lateral (select address from contact_addresses where contact_id = k.id and kind = 'pn' order by id
      limit 1) a on true
    left join lateral (select m.* from messages m where m.conversation_id = c.id and m.type <> 'reaction'
      and m.author <> 'automatic' and m.kind is distinct from 'operator' order by m.seq desc limit 1) l on true
    left join lateral (select * from handoffs o where o.conversation_id = c.id and o.status <> 'returned'
      order by o.controls desc limit 1) h on true
    left join lateral (select count(distinct f.turn_id) as n, min(m.created_at) as since from drafts f
      join messages m on m.id = f.message_id where f.conversation_id = c.id) d on true
$function$;
revoke all on function public.conversation_rows(bigint[],timestamp with time zone) from public;
grant execute on function public.conversation_rows(bigint[],timestamp with time zone) to service_role;
grant execute on function public.conversation_rows(bigint[],timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.count_days(p_tz text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_today date := (clock(p_now) at time zone p_tz)::date; v_n int;
begin
  insert into daily_counts (tenant_id, day, counts)
    select t.id, d.day, report_figures(t.id, d.day::timestamp at time zone p_tz,
      (d.day + 1)::timestamp at time zone p_tz)
    from tenants t cross join (select v_today - n as day from generate_series(1, 7) n) d
    where (d.day + 1)::timestamp at time zone p_tz > t.created_at and not exists (select from daily_counts c
      where c.tenant_id = t.id and c.day = d.day)
    on conflict (tenant_id, day) do nothing;
  get diagnostics v_n = row_count;
  return jsonb_build_object('counted', v_n);
end $function$;
revoke all on function public.count_days(text,timestamp with time zone) from public;
grant execute on function public.count_days(text,timestamp with time zone) to service_role;
grant execute on function public.count_days(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.count_slot(p_message public.messages, p_n integer)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_reply boolean := not is_proactive(p_message.kind);
  v_minute timestamptz := slot_minute(p_message.slot_at);
begin
  if p_n < 0 and not exists (select from slot_minutes s where s.instance_id = p_message.instance_id
    and s.reply = v_reply and s.minute = v_minute) then return; end if;
  insert into slot_minutes as s (tenant_id, instance_id, reply, minute, kind, first_contact, backend, n)
    values (p_message.tenant_id, p_message.instance_id, v_reply, v_minute, p_message.kind, p_message.first_contact,
      pg_backend_pid(), p_n)
    on conflict (instance_id, reply, minute, kind, first_contact, backend) do update set n = s.n + excluded.n;
  if not v_reply then
    insert into slot_hours as s (tenant_id, instance_id, hour, kind, first_contact, backend, n)
      values (p_message.tenant_id, p_message.instance_id, slot_hour(p_message.slot_at), p_message.kind,
        p_message.first_contact, pg_backend_pid(), p_n)
      on conflict (instance_id, hour, kind, first_contact, backend) do update set n = s.n + excluded.n;
  end if;
end $function$;
revoke all on function public.count_slot(public.messages,integer) from public;
grant execute on function public.count_slot(public.messages,integer) to service_role;
grant execute on function public.count_slot(public.messages,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.create_campaign(p_tenant text, p_campaign jsonb, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v campaigns; v_instance bigint;
begin
  if p_campaign ->> 'instance' is not null then
    select id into v_instance from instances where tenant_id = p_tenant and name = p_campaign ->> 'instance';
    if not found then return jsonb_build_object('outcome', 'unknown_instance'); end if;
  end if;
  insert into campaigns (tenant_id, name, text, audience, instance_id, created_by, created_at)
    values (p_tenant, p_campaign ->> 'name', p_campaign ->> 'text', p_campaign -> 'audience', v_instance, p_actor,
      clock(p_now)) on conflict do nothing returning * into v;
  if v.id is null then return jsonb_build_object('outcome', 'exists'); end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'campaign.create', v.name, jsonb_build_object('audience', v.audience), clock(p_now));
  return jsonb_build_object('outcome', 'done', 'campaign', campaign_row(v));
end $function$;
revoke all on function public.create_campaign(text,jsonb,text,timestamp with time zone) from public;
grant execute on function public.create_campaign(text,jsonb,text,timestamp with time zone) to service_role;
grant execute on function public.create_campaign(text,jsonb,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.create_tenant(p_tenant jsonb, p_agent jsonb, p_secrets jsonb, p_email text, p_hash text, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_slug text := p_tenant ->> 'slug'; v_user jsonb; v_now timestamptz := clock(p_now);
begin
  insert into tenants (id, name, settings, created_at) values (v_slug, p_tenant ->> 'name', (p_tenant -> 'settings')
    || jsonb_build_object('createdBy', (p_tenant -> 'settings' -> 'createdBy') || jsonb_build_object('at', v_now)),
    v_now) on conflict (id) do nothing;
  if not found then return jsonb_build_object('outcome', 'exists'); end if;
  v_user := create_user(v_slug, p_email, 'admin', p_hash, p_actor, v_now);
  if v_user ->> 'outcome' <> 'created' then raise exception 'the e-mail is taken' using errcode = 'WA004'; end if;
  insert into agents (tenant_id, slug, name, tone, instructions, promises, created_by)
    values (v_slug, 'default', p_agent ->> 'name', p_agent ->> 'tone', p_agent ->> 'instructions',
      p_agent ->> 'promises', p_actor);
  insert into tenant_secrets (tenant_id, name, sealed, updated_by)
    select v_slug, s.key, s.value, p_actor from jsonb_each_text(p_secrets) s;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (v_slug, p_actor, 'tenant.create', v_slug, jsonb_build_object('admin', p_email, 'secrets', (select
      jsonb_agg(k order by k) from jsonb_object_keys(p_secrets) k)), v_now);
  return jsonb_build_object('outcome', 'created');
exception when sqlstate 'WA004' then
  -- what was written is taken back with the block
  return jsonb_build_object('outcome', 'email_taken');
end $function$;
revoke all on function public.create_tenant(jsonb,jsonb,jsonb,text,text,text,timestamp with time zone) from public;
grant execute on function public.create_tenant(jsonb,jsonb,jsonb,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.create_tenant(jsonb,jsonb,jsonb,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.create_user(p_tenant text, p_email text, p_role text, p_hash text, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v users; v_now timestamptz := clock(p_now);
begin
  if not exists (select from tenants where id = p_tenant)
    then return jsonb_build_object('outcome', 'unknown_tenant'); end if;
  insert into users (tenant_id, email, role, created_by, created_at)
    values (p_tenant, p_email, p_role, p_actor, v_now) on conflict (email) do nothing returning * into v;
  if not found then return jsonb_build_object('outcome', 'exists'); end if;
  perform give_password(v, p_hash, true, p_actor, v_now);
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'user.create', p_email, jsonb_build_object('role', p_role), v_now);
  return jsonb_build_object('outcome', 'created');
end $function$;
revoke all on function public.create_user(text,text,text,text,text,timestamp with time zone) from public;
grant execute on function public.create_user(text,text,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.create_user(text,text,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.date_audit()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if not pg_has_role(current_user, (select relowner from pg_class where oid = tg_relid), 'member')
    then new.created_at := clock_timestamp(); end if;
  return new;
end $function$;
revoke all on function public.date_audit() from public;
grant execute on function public.date_audit() to service_role;
grant execute on function public.date_audit() to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.day_figures(p_tenant text, p_tz text, p_days integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_today date := (clock(p_now) at time zone p_tz)::date;
  v_from timestamptz := v_today::timestamp at time zone p_tz;
begin
  return (select jsonb_build_array(jsonb_build_object('day', v_today, 'received', null, 'answered', count(*)
      filter (where t.status = 'committed'), 'handed_over', count(*) filter (where t.status = 'handed_over'),
      'reply_seconds_median', null, 'cost_usd', coalesce(sum(t.cost_usd), 0), 'tokens', coalesce(sum(t.input_tokens
        + t.output_tokens + t.cache_read_tokens + t.cache_write_tokens), 0),
      'cache_share', sum(t.cache_read_tokens)::numeric / nullif(sum(t.input_tokens + t.cache_read_tokens
        + t.cache_write_tokens), 0)))
    from turns t where t.started_at >= v_from and t.tenant_id = p_tenant)
  || (select coalesce(jsonb_agg(jsonb_build_object('day', d.day, 'received', d.counts -> 'received', 'answered',
      coalesce((d.counts ->> 'answered')::numeric, 0), 'handed_over', coalesce((d.counts ->> 'handed_over')::numeric,
      0), 'reply_seconds_median', d.counts -> 'reply_seconds_median', 'cost_usd',
      coalesce((d.counts ->> 'cost_usd')::numeric, 0), 'tokens', coalesce((d.counts ->> 'tokens')::numeric, 0),
      'cache_share', null) order by d.day desc), '[]')
    from daily_counts d where d.tenant_id = p_tenant and d.day < v_today and d.day > v_today - p_days);
end $function$;
revoke all on function public.day_figures(text,text,integer,timestamp with time zone) from public;
grant execute on function public.day_figures(text,text,integer,timestamp with time zone) to service_role;
grant execute on function public.day_figures(text,text,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.dead_letters(p_tenant text, p_limit integer, p_message bigint DEFAULT NULL::bigint)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(to_jsonb(d) order by d.id desc), '[]') from (
    select m.id, m.conversation_id, i.name as instance, m.status, m.reason, m.error_class, m.kind, m.attempts,
      m.created_at, m.claimed_at, m.text
    from dead_sends x join messages m on m.id = x.message_id join instances i on i.id = m.instance_id
    where x.tenant_id = p_tenant and x.message_id = coalesce(p_message, x.message_id)
    order by x.message_id desc limit p_limit) d
$function$;
revoke all on function public.dead_letters(text,integer,bigint) from public;
grant execute on function public.dead_letters(text,integer,bigint) to service_role;
grant execute on function public.dead_letters(text,integer,bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.decide_approval(p_tenant text, p_id bigint, p_yes boolean, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz; v approvals; v_status text := case when p_yes then 'approved' else 'refused' end;
begin
  perform from conversations c join approvals a on a.conversation_id = c.id where a.id = p_id
    and a.tenant_id = p_tenant for no key update of c;
  select * into v from approvals where id = p_id and tenant_id = p_tenant for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  v_now := clock(p_now); -- who had the lock has decided by now
  if v.status = 'waiting' and v.expires_at <= v_now then
    perform expire_approval(v, v_now);
    return jsonb_build_object('outcome', 'expired');
  end if;
  if v.status = 'expired' then return jsonb_build_object('outcome', 'expired'); end if;
  if v.status <> 'waiting' and (v.status <> v_status or v.decided_by <> p_actor) then
    return jsonb_build_object('outcome', 'already', 'status', v.status, 'by', v.decided_by);
  end if;
  if v.status = 'waiting' then
    update approvals set status = v_status, decided_at = v_now, decided_by = p_actor, reason = p_reason
      where id = v.id;
    update tool_writes set status = 'queued', due_at = v_now where id = v.write_id and status = 'waiting' and p_yes;
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (p_tenant, p_actor, case when p_yes then 'approval.approve' else 'approval.refuse' end, p_id::text,
        jsonb_build_object('reason', p_reason, 'write', v.write_id), v_now);
    if not p_yes then perform end_tool_write(v.write_id, 'refused', 'approval_refused', null, v_now); end if;
  end if;
  return jsonb_build_object('outcome', v_status, 'again', v.status <> 'waiting', 'write_id', v.write_id,
    'conversation_id', v.conversation_id);
end $function$;
revoke all on function public.decide_approval(text,bigint,boolean,text,text,timestamp with time zone) from public;
grant execute on function public.decide_approval(text,bigint,boolean,text,text,timestamp with time zone) to service_role;
grant execute on function public.decide_approval(text,bigint,boolean,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.defer_turn(p_conversation public.conversations, p_turn public.turns, p_result jsonb, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_retry timestamptz := p_now + make_interval(secs => (p_result ->> 'retry_ms')::numeric / 1000);
  v_due timestamptz := first_pending(p_conversation.id)
    + make_interval(secs => (p_result ->> 'apology_ms')::numeric / 1000);
  v_apology boolean := coalesce(v_due <= p_now, false) and silenced_by(p_conversation, p_now) is null;
  v_until timestamptz := case when v_due > p_now then least(v_retry, v_due) else v_retry end;
begin
  update turns set status = 'deferred', reason = p_result ->> 'reason', ended_at = p_now where id = p_turn.id;
  if v_apology then
    insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text,
      provider_at, turn_id, correlation_id, kind, priority, part,
        due_at, expires_at, created_at)
      values (p_conversation.tenant_id, p_conversation.instance_id, p_conversation.id, p_conversation.last_seq + 1,
        'out', 'agent', 'text', 'queued', p_result ->> 'apology', p_now, p_turn.id, p_turn.correlation_id,
        'reply', 0, 1, p_now, p_now + interval '10 minutes', p_now);
  end if;
  update conversations set deferred_since = coalesce(deferred_since, p_now), deferred_until = v_until,
    deferred_reason = p_result ->> 'reason',
    -- a failure before it was long ago when the model is back
    failing_since = null, apologised_at = case when v_apology then p_now else apologised_at end,
      last_seq = last_seq + case when v_apology then 1 else 0 end where id = p_conversation.id;
  return jsonb_build_object('outcome', 'deferred', 'retry_ms', ceil(extract(epoch from v_until - p_now) * 1000),
    'parts', case when v_apology then 1 else 0 end);
end $function$;
revoke all on function public.defer_turn(public.conversations,public.turns,jsonb,timestamp with time zone) from public;
grant execute on function public.defer_turn(public.conversations,public.turns,jsonb,timestamp with time zone) to service_role;
grant execute on function public.defer_turn(public.conversations,public.turns,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.dial(p_contact bigint, p_jid text)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if p_jid not like '%@s.whatsapp.net' then return p_jid; end if;
  return coalesce((select a.written || '@s.whatsapp.net' from contact_addresses a where a.contact_id = p_contact
      and a.kind = 'pn' and one_writing(a.address) = one_writing(split_part(p_jid, '@', 1)) order by a.id limit 1),
    split_part(p_jid, '@', 1));
end $function$;
revoke all on function public.dial(bigint,text) from public;
grant execute on function public.dial(bigint,text) to service_role;
grant execute on function public.dial(bigint,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.digits_in(p_body jsonb)
 RETURNS SETOF text
 LANGUAGE sql
 IMMUTABLE
AS $function$ select distinct f.found[1] from regexp_matches(p_body::text, '[0-9]{8,20}', 'g') as f (found) $function$;
revoke all on function public.digits_in(jsonb) from public;
grant execute on function public.digits_in(jsonb) to service_role;
grant execute on function public.digits_in(jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.directives_in_force(p_tenant text, p_now timestamp with time zone)
 RETURNS integer
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select count(*)::int from directives where tenant_id = p_tenant and status = 'active'
    and coalesce(ends_at > p_now, true)
$function$;
revoke all on function public.directives_in_force(text,timestamp with time zone) from public;
grant execute on function public.directives_in_force(text,timestamp with time zone) to service_role;
grant execute on function public.directives_in_force(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.disable_user(p_tenant text, p_email text, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v users; v_n int; v_now timestamptz := clock(p_now);
begin
  select * into v from users where email = p_email and tenant_id = p_tenant for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v.disabled_at is not null then return jsonb_build_object('outcome', 'already'); end if;
  update users set disabled_at = v_now, disabled_by = p_actor where id = v.id;
  delete from sessions where user_id = v.id;
  get diagnostics v_n = row_count;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'user.disable', p_email, jsonb_build_object('reason', p_reason, 'sessions', v_n),
      v_now);
  return jsonb_build_object('outcome', 'disabled', 'sessions', v_n);
end $function$;
revoke all on function public.disable_user(text,text,text,text,timestamp with time zone) from public;
grant execute on function public.disable_user(text,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.disable_user(text,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.discard_dead_letter(p_tenant text, p_message bigint, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update messages set status = 'cancelled', reason = 'discarded_by_hand', lease_until = null
    where id = p_message and tenant_id = p_tenant and direction = 'out' and status in ('failed', 'unproven');
  if not found then
    return coalesce((select jsonb_build_object('outcome', 'not_dead', 'status', status, 'reason', reason) from messages
      where id = p_message and tenant_id = p_tenant and direction = 'out'), '{"outcome": "unknown"}');
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'dlq.discard', p_message::text, jsonb_build_object('reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'discarded');
end $function$;
revoke all on function public.discard_dead_letter(text,bigint,text,text,timestamp with time zone) from public;
grant execute on function public.discard_dead_letter(text,bigint,text,text,timestamp with time zone) to service_role;
grant execute on function public.discard_dead_letter(text,bigint,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.dismiss_suspicion(p_tenant text, p_id bigint, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update bot_suspicions set false_positive_at = clock(p_now), marked_by = p_actor
    where id = p_id and tenant_id = p_tenant and false_positive_at is null;
  if not found then
    return jsonb_build_object('outcome', case when exists (select from bot_suspicions
      where id = p_id and tenant_id = p_tenant) then 'already' else 'unknown' end);
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'suspicion.dismiss', p_id::text, jsonb_build_object('reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'done');
end $function$;
revoke all on function public.dismiss_suspicion(text,bigint,text,text,timestamp with time zone) from public;
grant execute on function public.dismiss_suspicion(text,bigint,text,text,timestamp with time zone) to service_role;
grant execute on function public.dismiss_suspicion(text,bigint,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.due_follow_up_steps(p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(id order by due_at), '[]') from (select id, due_at from follow_ups
    where status = 'active' and due_at <= clock(p_now) order by due_at limit p_limit) s
$function$;
revoke all on function public.due_follow_up_steps(integer,timestamp with time zone) from public;
grant execute on function public.due_follow_up_steps(integer,timestamp with time zone) to service_role;
grant execute on function public.due_follow_up_steps(integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.due_follow_ups(p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(id), '[]') from (
    select m.conversation_id as id from outbox m join conversations c on c.id = m.conversation_id
      join instances i on i.id = c.instance_id
    where m.kind = 'follow_up' and m.due_at <= clock(p_now) and c.merged_into is null
      and pause_reason(c.tenant_id, i.name, c.id, m.campaign_id) is null
    group by m.conversation_id order by min(m.message_id) limit p_limit) s
$function$;
revoke all on function public.due_follow_ups(integer,timestamp with time zone) from public;
grant execute on function public.due_follow_ups(integer,timestamp with time zone) to service_role;
grant execute on function public.due_follow_ups(integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.due_media(p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(d.conversation_id order by d.due), '[]') from (
    select conversation_id, min(next_at) as due from media_waits where next_at <= clock(p_now)
      group by conversation_id order by due limit p_limit) d
$function$;
revoke all on function public.due_media(integer,timestamp with time zone) from public;
grant execute on function public.due_media(integer,timestamp with time zone) to service_role;
grant execute on function public.due_media(integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.due_notices(p_now timestamp with time zone)
 RETURNS TABLE(id bigint, tenant_id text, urgent boolean, due_at timestamp with time zone, created_at timestamp with time zone, held boolean)
 LANGUAGE sql
 STABLE
AS $function$
  with due as (
    select n.id, n.tenant_id, n.urgent, n.due_at, n.created_at, n.status = 'handed' or n.kind = 'held'
      or n.created_at < p_now - interval '24 hours' as free
    from notices n where n.status in ('pending', 'handed') and n.due_at <= p_now
  ), told as (
    select s.tenant_id, count(*) as n from notices s
    where s.tenant_id in (select d.tenant_id from due d) and s.created_at > p_now - interval '25 hours'
      and s.kind <> 'held'
      and (s.status = 'handed' or s.status = 'sent' and s.ended_at > p_now - interval '1 hour' or s.status = 'pending'
        and s.claim > 0 and s.due_at > p_now)
    group by s.tenant_id
  )
  select d.id, d.tenant_id, d.urgent, d.due_at, d.created_at, not d.free and coalesce(t.n, 0)
    + row_number() over (partition by d.tenant_id, d.free order by d.urgent desc, d.due_at, d.id) > case when d.urgent
      then 240 else 120 end
  from due d left join told t on t.tenant_id = d.tenant_id
$function$;
revoke all on function public.due_notices(timestamp with time zone) from public;
grant execute on function public.due_notices(timestamp with time zone) to service_role;
grant execute on function public.due_notices(timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.due_reminders(p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(id order by due_at), '[]') from (select id, due_at from reminders
    where status = 'waiting' and due_at <= clock(p_now) order by due_at limit p_limit) s
$function$;
revoke all on function public.due_reminders(integer,timestamp with time zone) from public;
grant execute on function public.due_reminders(integer,timestamp with time zone) to service_role;
grant execute on function public.due_reminders(integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.emit_event(p_tenant text, p_type text, p_once text, p_subject jsonb, p_payload jsonb, p_correlation_id text, p_causation_id uuid, p_now timestamp with time zone)
 RETURNS uuid
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_id uuid;
begin
  if not exists (select from event_feeds where tenant_id = p_tenant and kept) then return null; end if;
  insert into events (tenant_id, type, once, contact_id, message_id, occurred_at, correlation_id, causation_id, payload)
    values (p_tenant, p_type, coalesce(p_once, gen_random_uuid()::text), (p_subject ->> 'contact_id')::bigint,
      (p_subject ->> 'message_id')::bigint, clock(p_now), p_correlation_id, p_causation_id, p_subject || p_payload)
    on conflict (tenant_id, type, once) do nothing returning event_id into v_id;
  return v_id;
end $function$;
revoke all on function public.emit_event(text,text,text,jsonb,jsonb,text,uuid,timestamp with time zone) from public;
grant execute on function public.emit_event(text,text,text,jsonb,jsonb,text,uuid,timestamp with time zone) to service_role;
grant execute on function public.emit_event(text,text,text,jsonb,jsonb,text,uuid,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.end_aside(p_aside jsonb, p_webhooks jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_left bigint;
begin
  delete from webhook_events where id in (select jsonb_array_elements_text(p_webhooks)::bigint)
    and aside_id in (select jsonb_array_elements_text(p_aside)::bigint);
  select count(*) into v_left from webhook_events where aside_id in (select jsonb_array_elements_text(p_aside)::bigint);
  if v_left = 0 then delete from set_aside where id in (select jsonb_array_elements_text(p_aside)::bigint); end if;
  return jsonb_build_object('left', v_left);
end $function$;
revoke all on function public.end_aside(jsonb,jsonb) from public;
grant execute on function public.end_aside(jsonb,jsonb) to service_role;
grant execute on function public.end_aside(jsonb,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.end_deferral(p_conversation bigint)
 RETURNS void
 LANGUAGE sql
AS $function$
  update conversations set deferred_since = null, deferred_until = null, deferred_reason = null
    where id = p_conversation
$function$;
revoke all on function public.end_deferral(bigint) from public;
grant execute on function public.end_deferral(bigint) to service_role;
grant execute on function public.end_deferral(bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.end_process(p_id text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  perform settle_breakers(p_id);
  delete from process_status where id = p_id;
  return '{}';
end $function$;
revoke all on function public.end_process(text) from public;
grant execute on function public.end_process(text) to service_role;
grant execute on function public.end_process(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.end_send(p_message bigint, p_status text, p_reason text)
 RETURNS void
 LANGUAGE sql
AS $function$
  update messages set status = p_status, reason = p_reason, goes_at = null, lease_until = null
    where id = p_message and status = 'queued'
$function$;
revoke all on function public.end_send(bigint,text,text) from public;
grant execute on function public.end_send(bigint,text,text) to service_role;
grant execute on function public.end_send(bigint,text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.end_tool_write(p_write bigint, p_status text, p_reason text, p_answer text, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v tool_writes; v_text text; v_person boolean := p_status not in ('done', 'refused');
begin
  update tool_writes set status = p_status, reason = p_reason, answer = left(p_answer, 2000), ended_at = p_now,
    lease_until = null where id = p_write and status in ('waiting', 'queued', 'sending') returning * into v;
  if not found then return; end if;
  v_text := v.definition -> 'says' ->> case when p_status in ('failed', 'uncertain') then 'failed' else p_status end;
  v_text := said_of(v_text, v.input);
  if coalesce(v_text, '') <> '' then
    insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text,
      provider_at, turn_id, correlation_id, kind, priority, part, due_at, created_at)
      select c.tenant_id, c.instance_id, c.id, c.last_seq + 1, 'out', 'system', 'text', 'queued', v_text, p_now,
        v.turn_id, (select correlation_id from turns where id = v.turn_id),
        case when v_person then 'handoff' else 'reply' end, case when v_person then 1 else 0 end, 1, p_now, p_now
      from conversations c where c.id = v.conversation_id;
    update conversations set last_seq = last_seq + 1 where id = v.conversation_id;
  end if;
  if v_person then
    perform open_handoff(v.conversation_id, v.turn_id, case p_status when 'expired' then 'approval_expired'
      else 'tool_' || p_status end, v.definition ->> 'name', true, p_now);
  end if;
end $function$;
revoke all on function public.end_tool_write(bigint,text,text,text,timestamp with time zone) from public;
grant execute on function public.end_tool_write(bigint,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.end_tool_write(bigint,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.end_trial(p_instance text, p_process text, p_failed boolean, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update instances set trial_until = case when p_failed then clock(p_now) + interval '10 seconds' end
    where name = p_instance and trial_by = p_process;
  return jsonb_build_object('ended', found);
end $function$;
revoke all on function public.end_trial(text,text,boolean,timestamp with time zone) from public;
grant execute on function public.end_trial(text,text,boolean,timestamp with time zone) to service_role;
grant execute on function public.end_trial(text,text,boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.ends(p_rule text, p_status text, p_if boolean)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$ select case when p_if then jsonb_build_object('rule', p_rule, 'end', p_status) end $function$;
revoke all on function public.ends(text,text,boolean) from public;
grant execute on function public.ends(text,text,boolean) to service_role;
grant execute on function public.ends(text,text,boolean) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.enqueue_message(p_request jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_now timestamptz := clock(p_now);
  v_instance instances;
  v_conversation conversations;
  v_message messages;
  v_first messages;
  v_key text := p_request ->> 'idempotency_key';
  v_operator boolean := p_request ->> 'kind' = 'operator';
  v_tenant text := coalesce(p_request ->> 'tenant', 'default');
  v_name text := p_request ->> 'instance';
begin
  if v_key is not null then
    perform pg_advisory_xact_lock(hashtextextended(v_tenant || '/' || v_operator || '/' || v_key, 7));
    update messages set idempotency_key = null where tenant_id = v_tenant and (kind = 'operator') = v_operator
      and idempotency_key = v_key and created_at < v_now - interval '24 hours';
    select * into v_first from messages where tenant_id = v_tenant and (kind = 'operator') = v_operator
      and idempotency_key = v_key;
    if found and (v_first.text <> p_request ->> 'text' or v_first.kind <> p_request ->> 'kind' or not exists (
        select 1 from conversations c join contact_addresses a on a.contact_id = c.contact_id
          where c.id = v_first.conversation_id and a.kind = 'pn' and a.address = p_request ->> 'phone')) then
      raise exception 'the idempotency key was used for another message' using errcode = 'WA002';
    end if;
  end if;
  if v_first.id is not null then
    -- a repeat belongs to the number of its first
    select name into v_name from instances where id = v_first.instance_id;
  elsif jsonb_typeof(p_request -> 'choose') = 'object' then
    v_name := choose_instance(v_tenant, p_request ->> 'phone', v_name, p_request -> 'choose', v_now);
  end if;
  select * into v_instance from instances where name = v_name and tenant_id = v_tenant;
  if not found then raise exception 'unknown instance' using errcode = 'WA001'; end if;
  v_conversation := ensure_conversation(v_instance, ensure_contact(v_instance, p_request ->> 'phone', null, null),
    (p_request ->> 'phone') || '@s.whatsapp.net', false);
  insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, reason, text,
    provider_at, correlation_id,
      kind, priority, part, typing_ms, due_at, expires_at, bypass, campaign_id, idempotency_key, duplicate_of,
        addressee, created_at)
    values (v_tenant, v_instance.id, v_conversation.id, v_conversation.last_seq + 1, 'out', 'system', 'text', case
      when v_first.id is null
      then 'queued' else 'deduped' end,
      case when v_first.id is not null then 'duplicate' end, p_request ->> 'text', v_now,
        p_request ->> 'correlation_id',
      p_request ->> 'kind', case p_request ->> 'kind' when 'operator' then 0 when 'manual' then 1
        when 'transactional' then 1 when 'follow_up' then 2 when 'notification' then 3 else 4 end, 0,
      coalesce((p_request ->> 'typing_ms')::int, 0), coalesce((p_request ->> 'send_after')::timestamptz, v_now),
        (p_request ->> 'expires_at')::timestamptz,
      p_request ->> 'bypass', p_request ->> 'campaign_id', case when v_first.id is null then v_key end, v_first.id,
      p_request ->> 'phone', v_now)
    returning * into v_message;
  update conversations set last_seq = last_seq + 1 where id = v_conversation.id;
  if v_first.id is not null then
    return jsonb_build_object('id', v_first.id, 'status', v_first.status, 'conversation_id', v_first.conversation_id,
      'repeated', true);
  end if;
  if v_message.bypass is not null then
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (v_tenant, p_request ->> 'actor', 'send.bypass', v_message.id::text,
        jsonb_build_object('reason', v_message.bypass, 'conversation_id', v_conversation.id), v_now);
  end if;
  return jsonb_build_object('id', v_message.id, 'status', v_message.status, 'conversation_id', v_conversation.id,
    'repeated', false);
end $function$;
revoke all on function public.enqueue_message(jsonb,timestamp with time zone) from public;
grant execute on function public.enqueue_message(jsonb,timestamp with time zone) to service_role;
grant execute on function public.enqueue_message(jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.ensure_contact(p_instance public.instances, p_pn text, p_lid text, p_name text, p_sent_at timestamp with time zone DEFAULT NULL::timestamp with time zone, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone, p_event jsonb DEFAULT NULL::jsonb, p_from jsonb DEFAULT NULL::jsonb)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_pn bigint;
  v_lid bigint;
  v_id bigint;
  v_vouched text;
  v_facts jsonb;
  v_verdict text;
begin
  loop
    v_pn := null;
    v_lid := null;
    v_vouched := null;
    -- asked for null, Postgres would plan each of these anew: that costs more than all the rest
    if p_pn is not null then select contact_id into v_pn from contact_addresses
      where kind = 'pn' and tenant_id = p_instance.tenant_id and address = p_pn; end if;
    if p_lid is not null then select contact_id, vouched_phone into v_lid, v_vouched from contact_addresses
      where kind = 'lid' and instance_id = p_instance.id and address = p_lid; end if;
    v_id := coalesce(v_pn, v_lid);
    v_verdict := case when p_pn is null or p_lid is null then case when v_id is null then 'create' else 'same' end
      when v_pn = v_lid then 'same' when v_id is null then 'create' end;
    if v_verdict is null then
      -- somebody known is about to change: whoever else is at it has ended when we hold the locks
      perform 1 from contacts where id in (v_pn, v_lid) order by id for no key update;
      v_facts := pair_facts(p_instance, p_pn, p_lid, coalesce(p_sent_at, clock(p_now)), p_from);
      continue when (v_facts ->> 'pn')::bigint is distinct from v_pn
        or (v_facts ->> 'lid')::bigint is distinct from v_lid;
      v_verdict := judge_pair(v_facts);
      v_id := coalesce(v_lid, v_pn);
    end if;
    -- asked after each look at the addresses: an erasure that took one away before it is seen here
    if p_event is not null and is_erased(p_instance, p_event, p_sent_at) then return null; end if;
    case v_verdict
      when 'same', 'learn', 'new_phone' then null;
      when 'merge' then v_id := merge_contacts(v_pn, v_lid);
      when 'moved' then perform move_phone(p_instance, p_pn, v_lid, clock(p_now));
      when 'lid_only' then
        v_id := ensure_contact(p_instance, null, p_lid, p_name, p_sent_at, p_now, p_event);
        if v_lid is null and (v_facts ->> 'pn_elsewhere')::boolean
          then perform hand_on_opt_out(v_pn, v_id, p_pn); end if;
        return v_id;
      else
        insert into contacts (tenant_id, name) values (p_instance.tenant_id, p_name) returning id into v_id;
        if v_verdict = 'new_account' then perform move_phone(p_instance, p_pn, v_id, clock(p_now)); end if;
    end case;
    if p_name is not null and v_verdict not in ('create', 'new_account') then update contacts set name = p_name
      where id = v_id and name is null; end if;
    if p_pn is not null and v_pn is null then
      insert into contact_addresses (tenant_id, instance_id, contact_id, kind, address)
        values (p_instance.tenant_id, p_instance.id, v_id, 'pn', p_pn) on conflict do nothing;
      select contact_id into v_pn from contact_addresses where kind = 'pn' and tenant_id = p_instance.tenant_id
        and address = p_pn;
      perform honour_suppression(p_instance, v_id, p_pn, null);
    end if;
    if p_lid is not null and v_lid is null and (v_pn is null or v_pn = v_id or v_verdict = 'new_account') then
      insert into contact_addresses (tenant_id, instance_id, contact_id, kind, address)
        values (p_instance.tenant_id, p_instance.id, v_id, 'lid', p_lid) on conflict do nothing;
      perform honour_suppression(p_instance, v_id, null, p_lid);
    end if;
    if v_verdict in ('new_phone', 'moved') then
      perform move_phone(p_instance, a.address, null, clock(p_now)) from contact_addresses a
        where a.contact_id = v_id and a.kind = 'pn' and a.address <> p_pn;
    end if;
    -- a merge or an erasure that is under way takes this contact away: wait for it, and look again
    perform 1 from contacts where id = v_id and merged_into is null and erased_at is null for key share;
    exit when found and (v_verdict = 'same' or
      ((p_pn is null or v_id = (select contact_id from contact_addresses
        where kind = 'pn' and tenant_id = p_instance.tenant_id and address = p_pn))
        and (p_lid is null or v_id = (select contact_id from contact_addresses
          where kind = 'lid' and instance_id = p_instance.id and address = p_lid))));
    -- somebody else wrote one of these addresses meanwhile: look again (an empty contact of ours goes)
    if v_verdict = 'create' then
      delete from opt_outs o where o.contact_id = v_id and not exists (select from contact_addresses a
        where a.contact_id = v_id);
      delete from contacts c where c.id = v_id and not exists (select from contact_addresses a
        where a.contact_id = c.id);
    end if;
  end loop;
  if p_pn is not null and p_lid is not null and v_vouched is distinct from p_pn and not speaks_alone(p_from) then
    update contact_addresses set vouched_phone = p_pn
      where kind = 'lid' and instance_id = p_instance.id and address = p_lid;
  end if;
  return v_id;
end $function$;
revoke all on function public.ensure_contact(public.instances,text,text,text,timestamp with time zone,timestamp with time zone,jsonb,jsonb) from public;
grant execute on function public.ensure_contact(public.instances,text,text,text,timestamp with time zone,timestamp with time zone,jsonb,jsonb) to service_role;
grant execute on function public.ensure_contact(public.instances,text,text,text,timestamp with time zone,timestamp with time zone,jsonb,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.ensure_conversation(p_instance public.instances, p_contact bigint, p_jid text, p_inbound boolean)
 RETURNS public.conversations
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_conversation conversations;
begin
  select * into v_conversation from conversations where instance_id = p_instance.id
    and contact_id = p_contact for no key update;
  if not found then
    insert into conversations (tenant_id, instance_id, contact_id, jid)
      values (p_instance.tenant_id, p_instance.id, p_contact, p_jid)
      on conflict (instance_id, contact_id) do nothing;
    select * into v_conversation from conversations where instance_id = p_instance.id
      and contact_id = p_contact for no key update;
    if p_inbound then perform confirm_address(p_contact, p_jid); end if;
  end if;
  if p_inbound and v_conversation.jid <> p_jid then
    perform confirm_address(p_contact, p_jid);
    if not address_refused(p_contact, p_jid, clock_timestamp()) then
      update conversations set jid = p_jid where id = v_conversation.id returning * into v_conversation;
    end if;
  end if;
  return v_conversation;
end $function$;
revoke all on function public.ensure_conversation(public.instances,bigint,text,boolean) from public;
grant execute on function public.ensure_conversation(public.instances,bigint,text,boolean) to service_role;
grant execute on function public.ensure_conversation(public.instances,bigint,text,boolean) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.ensure_instance(p_name text, p_provider_id text)
 RETURNS public.instances
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v instances;
begin
  insert into instances (name, provider_id) values (p_name, p_provider_id) on conflict (name) do nothing
    returning * into v;
  if not found then select * into v from instances where name = p_name; end if;
  return v;
end $function$;
revoke all on function public.ensure_instance(text,text) from public;
grant execute on function public.ensure_instance(text,text) to service_role;
grant execute on function public.ensure_instance(text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.ensure_setup(p_setup jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if is_foreign(p_setup ->> 'project_ref') then raise exception 'the database belongs to another project'
    using errcode = 'WA003'; end if;
  if p_setup ->> 'instance' is not null then
    perform ensure_instance(p_setup ->> 'instance', null);
    update instances set proactive = true where name = p_setup ->> 'instance' and not proactive and not exists (select
      from instance_events e where e.instance_id = instances.id and e.event = 'changed' and e.details ? 'proactive');
  end if;
  insert into agents (slug, name, tone, instructions, promises, created_by)
    select 'default', a ->> 'name', a ->> 'tone', a ->> 'instructions', a ->> 'promises', 'setup'
      from (select p_setup -> 'agent' as a) x
    where not exists (select 1 from agents where tenant_id = 'default' and slug = 'default')
    on conflict do nothing;
  return '{}';
end $function$;
revoke all on function public.ensure_setup(jsonb) from public;
grant execute on function public.ensure_setup(jsonb) to service_role;
grant execute on function public.ensure_setup(jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.erase_contact(p_tenant text, p_contact bigint, p_phone text, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_id bigint := find_contact(p_tenant, p_contact, p_phone);
  v_now timestamptz := clock(p_now);
  v_all bigint[]; v_talks bigint[]; v_named record; v_until timestamptz; v_messages int; v_webhooks int; v_n int;
begin
  if v_id is null then
    return jsonb_build_object('outcome', case when p_contact is null and know_by_traces(p_tenant, p_phone) then 'again'
      else 'unknown' end);
  end if;
  v_all := contact_with_merged(v_id);
  perform 1 from contacts where id = any (v_all) order by id for update;
  -- a merge that was under way while we waited for the locks has taken the person elsewhere: look again
  if find_contact(p_tenant, p_contact, p_phone) is distinct from v_id or not contact_with_merged(v_id) <@ v_all then
    return erase_contact(p_tenant, p_contact, p_phone, p_actor, p_reason, p_now);
  end if;
  select coalesce(array_agg(l.id), '{}') into v_talks from (select id from conversations where contact_id = any (v_all)
    order by id for update) l;
  select max(lease_until) into v_until from on_wire where conversation_id = any (v_talks) and status = 'sending'
    and lease_until > v_now;
  if v_until is not null then return jsonb_build_object('outcome', 'sending', 'until', v_until); end if;

  perform bury_contacts(p_tenant, v_all, v_talks, v_now);
  delete from webhook_events where id in (select w.id from webhooks_of(p_tenant) w,
      jsonb_array_elements(case when jsonb_typeof(w.results) = 'array' then w.results else '[]' end) r
        where (r ->> 'conversation_id')::bigint = any (v_talks));
  get diagnostics v_webhooks = row_count;
  -- the addresses as they stand in what is stored, in all writings; a number that the person had before, until it was
  -- another's
  for v_named in
    select 'infinity'::timestamptz as until, array_agg(distinct '%' || w || '%') as words from (
        select unnest(case kind when 'pn' then both_writings(address) else array[address] end) as w
          from contact_addresses where contact_id = any (v_all)
        union all select unnest(case when jid like '%@lid' then array[split_part(jid, '@', 1)]
          else both_writings(split_part(jid, '@', 1)) end) from conversations where id = any (v_talks)) x
      where length(w) >= 8
    union all select f.until, (select array_agg('%' || w || '%') from unnest(both_writings(f.address)) w)
      from former_phones f where f.contact_id = any (v_all)
  loop
    delete from webhook_events where id in (select w.id from webhooks_of(p_tenant) w
      where w.received_at < v_named.until and w.body::text like any (v_named.words));
    get diagnostics v_n = row_count;
    v_webhooks := v_webhooks + v_n;
    delete from early_updates e where e.tenant_id = p_tenant and e.created_at < v_named.until
      and e.event::text like any (v_named.words);
    -- what the manager was written: answers to commands
    update messages set text = '[apagado]', status = case status when 'queued' then 'cancelled' else status end,
      reason = case status when 'queued' then 'erased' else reason end
      where tenant_id = p_tenant and kind = 'operator' and created_at < v_named.until and text like any (v_named.words);
  end loop;
  -- new words for a message that nobody knows, in a chat that nobody names, may be of anybody: they go too
  delete from webhook_events w where w.tenant_id = p_tenant and w.event = 'messages.edited'
    and w.results @> '[{"outcome": "early"}]';
  delete from early_updates e where e.tenant_id = p_tenant and e.event ->> 'kind' = 'edit'
    and e.event -> 'chat' ->> 'pn' is null and e.event -> 'chat' ->> 'lid' is null;
  -- what people were told of this contact, and the WhatsApp messages that carried it to them
  with told as (
    delete from notices n where n.tenant_id = p_tenant and n.key in (
      select 'handoff-' || h.id || step from handoffs h, unnest(array['-told', '-reminded', '-returned']) as step
        where h.conversation_id = any (v_talks)
      union all select 'draft-' || t.id from turns t where t.conversation_id = any (v_talks)
      union all select 'approval-' || a.id from approvals a where a.conversation_id = any (v_talks)
      union all select 'greeting-' || i.name from instances i join messages m on m.id = i.greeting_message
        where m.conversation_id = any (v_talks))
      or (n.tenant_id = p_tenant and n.kind = 'forward' and split_part(n.key, '-', 2) in (select t::text
        from unnest(v_talks) t)) returning n.id, n.attempts)
  update messages set text = '[apagado]', status = case status when 'queued' then 'cancelled' else status end,
    reason = case status when 'queued' then 'erased' else reason end
    where id in (select m.id from told t cross join generate_series(0, t.attempts) a (n)
      join messages m on m.tenant_id = p_tenant and m.kind = 'operator' and m.idempotency_key = 'notice-' || t.id || '-'
      || a.n);
  -- what else the manager was written about this conversation: answers that have a line for each, and notices whose
  -- rows are gone already
  update messages set text = '[apagado]', status = case status when 'queued' then 'cancelled' else status end,
    reason = case status when 'queued' then 'erased' else reason end
    where tenant_id = p_tenant and kind = 'operator' and v_talks <> '{}'
      and text ~* ('(\mconversa |(^|\n)• )(' || array_to_string(v_talks, '|') || ')\M');
  update notices set message_id = null where message_id in (select id from messages
    where conversation_id = any (v_talks));
  -- what a file says goes with the last message that brought it
  delete from media d using messages m where m.conversation_id = any (v_talks) and m.media ? 'sha256'
    and d.tenant_id = m.tenant_id and d.sha256 = m.media ->> 'sha256' and not exists (select from messages o
      where o.tenant_id = d.tenant_id and o.media ? 'sha256' and o.media ->> 'sha256' = d.sha256
        and o.conversation_id <> all (v_talks));
  delete from events where contact_id = any (v_all) or message_id in (select id from messages
    where conversation_id = any (v_talks));
  delete from messages where conversation_id = any (v_talks);
  get diagnostics v_messages = row_count;
  delete from tool_calls where conversation_id = any (v_talks);
  delete from summaries where conversation_id = any (v_talks);
  delete from approvals where conversation_id = any (v_talks);
  delete from tool_writes where conversation_id = any (v_talks);
  update turns set transcript = null, status = case status when 'open' then 'suppressed' else status end,
    reason = case status when 'open' then 'erased' else reason end,
    ended_at = coalesce(ended_at, v_now) where conversation_id = any (v_talks);
  update handoffs set summary = null, suggestion = null, reason = case handoff_code(reason) when 'words' then 'erased'
    else reason end, status = 'returned', returned_at = coalesce(returned_at, v_now)
    where conversation_id = any (v_talks);
  update conversations set jid = 'erased', escalation_reason = null, controlled_by = 'agent', taken_by = null,
    taken_at = null, takeover_since = null,
    takeover_until = null, quiet_until = null, quiet_reason = null, mode = 'auto', observed_labels = '{}',
    observed_summary = null, observed_at = null, forward_from = null,
    forward_due_at = null,
    fence = fence + 1 where id = any (v_talks);
  perform keep_suppression(v_all);
  delete from contact_tags where contact_id = any (v_all);
  update campaign_recipients set phone = null, text = null, status = 'cancelled', reason = 'erased'
    where contact_id = any (v_all);
  -- one that was never sent has no message that takes it away
  delete from order_notices n using (select a.address, 'infinity'::timestamptz as until from contact_addresses a
      where a.contact_id = any (v_all) and a.kind = 'pn'
    union all select f.address, f.until from former_phones f where f.contact_id = any (v_all)) p
    where n.tenant_id = p_tenant and n.phone = p.address and n.created_at < p.until;
  delete from contact_addresses where contact_id = any (v_all);
  delete from former_phones where contact_id = any (v_all);
  delete from contact_merges where kept = any (v_all) or merged = any (v_all);
  delete from contact_facts where contact_id = any (v_all);
  delete from directives where tenant_id = p_tenant and scope = 'contact' and target = any (v_all::text[]);
  delete from reminders where conversation_id = any (v_talks);
  delete from follow_ups where conversation_id = any (v_talks);
  update contacts set name = null, erased_at = coalesce(erased_at, v_now) where id = any (v_all);
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'contact.erase', v_id::text,
    jsonb_build_object('reason', p_reason, 'messages', v_messages, 'webhooks', v_webhooks), v_now);
  return jsonb_build_object('outcome', 'erased', 'contact_id', v_id, 'messages', v_messages, 'webhooks', v_webhooks);
end $function$;
revoke all on function public.erase_contact(text,bigint,text,text,text,timestamp with time zone) from public;
grant execute on function public.erase_contact(text,bigint,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.erase_contact(text,bigint,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.event_author(p_from_me boolean, p_verdict text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$ select case when not p_from_me then 'contact' when p_verdict <> 'person' then 'automatic' else 'human' end $function$;
revoke all on function public.event_author(boolean,text) from public;
grant execute on function public.event_author(boolean,text) to service_role;
grant execute on function public.event_author(boolean,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.event_envelope(p_event public.events)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('id', p_event.event_id, 'type', p_event.type, 'version', 1,
    'occurred_at', utc_text(p_event.occurred_at), 'company_id', p_event.tenant_id, 'source', 'whats-agents',
    'correlation_id', p_event.correlation_id, 'causation_id', p_event.causation_id, 'payload', p_event.payload)
$function$;
revoke all on function public.event_envelope(public.events) from public;
grant execute on function public.event_envelope(public.events) to service_role;
grant execute on function public.event_envelope(public.events) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.event_of_message(p_tenant text, p_message bigint)
 RETURNS uuid
 LANGUAGE sql
 STABLE
AS $function$
  select event_id from events where tenant_id = p_tenant and message_id = p_message and type = 'message.received'
    order by id desc limit 1
$function$;
revoke all on function public.event_of_message(text,bigint) from public;
grant execute on function public.event_of_message(text,bigint) to service_role;
grant execute on function public.event_of_message(text,bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.event_of_turn(p_tenant text, p_turn bigint)
 RETURNS uuid
 LANGUAGE sql
 STABLE
AS $function$
  select event_of_message(p_tenant, (select id from messages where turn_id = p_turn and direction = 'in'
    order by seq desc limit 1))
$function$;
revoke all on function public.event_of_turn(text,bigint) from public;
grant execute on function public.event_of_turn(text,bigint) to service_role;
grant execute on function public.event_of_turn(text,bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.event_text(p_event jsonb)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$ select case when p_event ->> 'kind' = 'reaction' then coalesce(p_event ->> 'emoji', '')
  else p_event -> 'content' ->> 'text' end $function$;
revoke all on function public.event_text(jsonb) from public;
grant execute on function public.event_text(jsonb) to service_role;
grant execute on function public.event_text(jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.expire_approval(p_approval public.approvals, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update approvals set status = 'expired', decided_at = p_now where id = p_approval.id;
  perform end_tool_write(p_approval.write_id, 'expired', 'approval_expired', null, p_now);
end $function$;
revoke all on function public.expire_approval(public.approvals,timestamp with time zone) from public;
grant execute on function public.expire_approval(public.approvals,timestamp with time zone) to service_role;
grant execute on function public.expire_approval(public.approvals,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.expire_held(p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_messages int; v_takeovers int;
begin
  update messages set status = 'expired', reason = 'expired', goes_at = null, lease_until = null where id in (
    select m.id from outbox o join messages m on m.id = o.message_id where o.expires_at <= clock(p_now)
      order by m.id limit p_limit for update of m skip locked) and status = 'queued' and expires_at <= clock(p_now);
  get diagnostics v_messages = row_count;
  update conversations set takeover_since = null, takeover_until = null where id in (
    select id from conversations where takeover_until < clock(p_now) - interval '1 day' order by id
      limit p_limit for no key update skip locked);
  get diagnostics v_takeovers = row_count;
  return jsonb_build_object('messages', v_messages, 'takeovers', v_takeovers);
end $function$;
revoke all on function public.expire_held(integer,timestamp with time zone) from public;
grant execute on function public.expire_held(integer,timestamp with time zone) to service_role;
grant execute on function public.expire_held(integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.expire_turn(p_turn public.turns, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update turns set status = 'expired', reason = 'lease_ran_out', ended_at = p_now where id = p_turn.id;
  update conversations set failed_in_row = failed_in_row + 1,
    failing_since = coalesce(failing_since, p_turn.started_at) where id = p_turn.conversation_id;
  perform settle_lost(p_turn, p_now);
end $function$;
revoke all on function public.expire_turn(public.turns,timestamp with time zone) from public;
grant execute on function public.expire_turn(public.turns,timestamp with time zone) to service_role;
grant execute on function public.expire_turn(public.turns,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.export_contact(p_tenant text, p_contact bigint, p_phone text, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_id bigint := find_contact(p_tenant, p_contact, p_phone); v_all bigint[]; v_talks bigint[]; v_result jsonb;
begin
  if v_id is null then return null; end if;
  v_all := contact_with_merged(v_id);
  select coalesce(array_agg(id), '{}') into v_talks from conversations where contact_id = any (v_all);
  select jsonb_build_object('exported_at', clock(p_now), 'contact', to_jsonb(c) - 'tenant_id' - 'merged_into',
    'addresses', (select coalesce(jsonb_agg(to_jsonb(a) - 'tenant_id' order by a.id), '[]') from contact_addresses a
      where a.contact_id = any (v_all)),
    'facts', (select coalesce(jsonb_agg(to_jsonb(f) - 'tenant_id' order by f.id), '[]') from contact_facts f
      where f.contact_id = any (v_all)),
    'reminders', (select coalesce(jsonb_agg(to_jsonb(r) - 'tenant_id' order by r.id), '[]') from reminders r
      where r.conversation_id = any (v_talks)),
    'follow_ups', (select coalesce(jsonb_agg(to_jsonb(f) - 'tenant_id' order by f.id), '[]') from follow_ups f
      where f.conversation_id = any (v_talks)),
    'tags', (select coalesce(jsonb_agg(distinct t.tag), '[]') from contact_tags t where t.contact_id = any (v_all)),
    'campaigns', (select coalesce(jsonb_agg(jsonb_build_object('name', c.name, 'text', r.text, 'status', r.status)
      order by c.id), '[]') from campaign_recipients r join campaigns c on c.id = r.campaign_id
      where r.contact_id = any (v_all)),
    'order_notices', (select coalesce(jsonb_agg(to_jsonb(n) - 'tenant_id' - 'fingerprint' order by n.id), '[]')
      from order_notices n where n.tenant_id = p_tenant and n.phone in (select a.address from contact_addresses a
        where a.contact_id = any (v_all) and a.kind = 'pn')),
    'former_phones', (select coalesce(jsonb_agg(to_jsonb(f) - 'tenant_id' order by f.id), '[]') from former_phones f
      where f.contact_id = any (v_all)),
    'conversations', (select coalesce(jsonb_agg(to_jsonb(v) - 'tenant_id' order by v.id), '[]') from conversations v
      where v.id = any (v_talks)),
    'messages', (select coalesce(jsonb_agg(to_jsonb(m) - 'tenant_id' order by m.conversation_id, m.seq), '[]')
      from messages m where m.conversation_id = any (v_talks)),
    'summaries', (select coalesce(jsonb_agg(to_jsonb(s) - 'tenant_id' order by s.id), '[]') from summaries s
      where s.conversation_id = any (v_talks)),
    'turns', (select coalesce(jsonb_agg(to_jsonb(t) - 'tenant_id' order by t.id), '[]') from turns t
      where t.conversation_id = any (v_talks)),
    'tool_calls', (select coalesce(jsonb_agg(to_jsonb(k) - 'tenant_id' order by k.id), '[]') from tool_calls k
      where k.conversation_id = any (v_talks)),
    'tool_writes', (select coalesce(jsonb_agg(to_jsonb(w) - 'tenant_id' - 'definition' order by w.id), '[]')
      from tool_writes w where w.conversation_id = any (v_talks)),
    'approvals', (select coalesce(jsonb_agg(to_jsonb(a) - 'tenant_id' order by a.id), '[]') from approvals a
      where a.conversation_id = any (v_talks)),
    'handoffs', (select coalesce(jsonb_agg(to_jsonb(h) - 'tenant_id' order by h.id), '[]') from handoffs h
      where h.conversation_id = any (v_talks)),
    'opt_outs', (select coalesce(jsonb_agg(to_jsonb(o) - 'tenant_id' order by o.id), '[]') from opt_outs o
      where o.contact_id = any (v_all)))
    into v_result from contacts c where c.id = v_id;
  insert into audit_log (tenant_id, actor, action, subject, created_at)
    values (p_tenant, p_actor, 'contact.export', v_id::text, clock(p_now));
  return v_result;
end $function$;
revoke all on function public.export_contact(text,bigint,text,text,timestamp with time zone) from public;
grant execute on function public.export_contact(text,bigint,text,text,timestamp with time zone) to service_role;
grant execute on function public.export_contact(text,bigint,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.fail_media(p_message bigint, p_note text, p_reason text, p_retry_ms integer, p_counts boolean DEFAULT true, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_message messages := hold_unread(p_message);
begin
  if v_message.id is null then return '{}'; end if;
  update messages set text = case when deleted_at is null then media_text(text, p_note, null) else text end,
    media = coalesce(media, '{}') || jsonb_build_object('read', case when p_counts then 'failed' else 'later' end,
      'note', p_note, 'why', p_reason) where id = p_message;
  insert into media_waits (message_id, tenant_id, conversation_id, attempts, reason, next_at, updated_at)
    values (p_message, v_message.tenant_id, v_message.conversation_id, p_counts::int, p_reason,
      clock(p_now) + make_interval(secs => p_retry_ms / 1000.0), clock(p_now))
    on conflict (message_id) do update set attempts = media_waits.attempts + p_counts::int, reason = excluded.reason,
      next_at = excluded.next_at, updated_at = excluded.updated_at;
  return '{}';
end $function$;
revoke all on function public.fail_media(bigint,text,text,integer,boolean,timestamp with time zone) from public;
grant execute on function public.fail_media(bigint,text,text,integer,boolean,timestamp with time zone) to service_role;
grant execute on function public.fail_media(bigint,text,text,integer,boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.fail_send(p_message bigint, p_class text, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_message messages;
begin
  update messages set status = 'failed', reason = p_class, error_class = p_class, lease_until = null
    where id = p_message returning * into v_message;
  if v_message.type = 'reaction' then return; end if;
  update messages set status = 'cancelled', reason = 'earlier_part_failed'
    where turn_id = v_message.turn_id and direction = 'out' and status = 'queued' and id > v_message.id;
  if not is_proactive(v_message.kind)
    then perform open_handoff(v_message.conversation_id, v_message.turn_id, 'send_failed', p_class,
    false, p_now); end if;
end $function$;
revoke all on function public.fail_send(bigint,text,timestamp with time zone) from public;
grant execute on function public.fail_send(bigint,text,timestamp with time zone) to service_role;
grant execute on function public.fail_send(bigint,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.fail_turn(p_turn public.turns, p_reason text, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_failed int;
begin
  update turns set status = 'failed', reason = p_reason, ended_at = p_now where id = p_turn.id;
  update conversations set failed_in_row = failed_in_row + 1,
    failing_since = coalesce(failing_since, p_turn.started_at), deferred_until = null where id = p_turn.conversation_id
    returning failed_in_row into v_failed;
  return jsonb_build_object('outcome', 'failed', 'failed_in_row', v_failed);
end $function$;
revoke all on function public.fail_turn(public.turns,text,timestamp with time zone) from public;
grant execute on function public.fail_turn(public.turns,text,timestamp with time zone) to service_role;
grant execute on function public.fail_turn(public.turns,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.find_contact(p_tenant text, p_contact bigint, p_phone text)
 RETURNS bigint
 LANGUAGE sql
 STABLE
AS $function$
  with recursive chain as (
    select c.id, c.merged_into from contacts c where c.tenant_id = p_tenant
      and c.id = coalesce(p_contact, (select a.contact_id from contact_addresses a
        where a.tenant_id = p_tenant and a.kind = 'pn' and a.address = p_phone))
    union all
    select c.id, c.merged_into from contacts c join chain on c.id = chain.merged_into)
  select id from chain where merged_into is null
$function$;
revoke all on function public.find_contact(text,bigint,text) from public;
grant execute on function public.find_contact(text,bigint,text) to service_role;
grant execute on function public.find_contact(text,bigint,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.find_order_notice(p_tenant text, p_id bigint)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select order_notice_row(n) from order_notices n where n.id = p_id and n.tenant_id = p_tenant
$function$;
revoke all on function public.find_order_notice(text,bigint) from public;
grant execute on function public.find_order_notice(text,bigint) to service_role;
grant execute on function public.find_order_notice(text,bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.finish_job(p_id bigint, p_status text, p_count integer, p_error text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update job_runs set status = p_status, count = p_count, error = p_error, ended_at = clock(p_now),
    ms = (extract(epoch from clock(p_now) - started_at) * 1000)::int where id = p_id and status = 'running';
  return jsonb_build_object('recorded', found);
end $function$;
revoke all on function public.finish_job(bigint,text,integer,text,timestamp with time zone) from public;
grant execute on function public.finish_job(bigint,text,integer,text,timestamp with time zone) to service_role;
grant execute on function public.finish_job(bigint,text,integer,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.finish_notice(p_id bigint, p_claim bigint, p_outcome jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v notices; v_status text := p_outcome ->> 'status';
begin
  select * into v from notices where id = p_id and claim = p_claim and status in ('pending', 'handed') for update;
  if not found then return jsonb_build_object('recorded', false, 'news', false); end if;
  update notices set status = v_status, channel = coalesce(p_outcome ->> 'channel', channel),
    error = p_outcome ->> 'error',
    message_id = case v_status when 'pending' then null else coalesce((p_outcome ->> 'message_id')::bigint, message_id)
      end,
    attempts = attempts + case when (p_outcome ->> 'counts')::boolean then 1 else 0 end,
    due_at = clock(p_now) + make_interval(secs => coalesce((p_outcome ->> 'delay_ms')::int, 0) / 1000.0),
    ended_at = case when v_status in ('sent', 'failed') then clock(p_now) end
    where id = v.id;
  return jsonb_build_object('recorded', true, 'news', v.error is distinct from p_outcome ->> 'error');
end $function$;
revoke all on function public.finish_notice(bigint,bigint,jsonb,timestamp with time zone) from public;
grant execute on function public.finish_notice(bigint,bigint,jsonb,timestamp with time zone) to service_role;
grant execute on function public.finish_notice(bigint,bigint,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.fire_reminder(p_id bigint, p_tz text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v conversations; v_reminder reminders;
begin
  select c.* into v from reminders r join conversations o on o.id = r.conversation_id
    join conversations c on c.id = coalesce(o.merged_into, o.id) where r.id = p_id for no key update of c;
  select * into v_reminder from reminders where id = p_id and status = 'waiting' and due_at <= v_now for update;
  if not found or v.id is null then return jsonb_build_object('conversation_id', null); end if;
  update reminders set status = 'queued', ended_at = v_now, conversation_id = v.id, message_id = queue_later(v,
      'notification', 'system', reminder_text(v_reminder, p_tz, v_now),
      greatest(v_reminder.due_at + interval '10 minutes', least(v_reminder.due_at + interval '1 day',
        case when v_reminder.event_at > v_reminder.due_at then v_reminder.event_at end)), v_now)
    where id = p_id;
  return jsonb_build_object('conversation_id', v.id);
end $function$;
revoke all on function public.fire_reminder(bigint,text,timestamp with time zone) from public;
grant execute on function public.fire_reminder(bigint,text,timestamp with time zone) to service_role;
grant execute on function public.fire_reminder(bigint,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.first_guard(p_message public.messages, p_conversation public.conversations, p_instance public.instances, p_policy jsonb, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  v_reply boolean := not is_proactive(p_message.kind);
  v_campaign boolean := is_campaign(p_message.kind);
  v_offer boolean := is_offer(p_message.kind);
  -- an answer to who runs this, an alert to the manager: a stop that could not be told would not be believed. Only
  -- allowlist, expiry and the number hold it
  v_operator boolean := p_message.kind = 'operator';
  v_silenced text := case when p_message.kind <> 'operator'
    then silenced_by(p_conversation, p_now, p_message.campaign_id) end;
  v_hour int := coalesce(p_instance.cap_hour, (p_policy ->> 'capHour')::int);
  v_day int := coalesce(p_instance.cap_day, (p_policy ->> 'capDay')::int);
  v_young jsonb := warming_caps(p_instance.phase, p_instance.phase_since, p_now);
  v_contact contacts;
  v_allowed text;
  v_deaf boolean;   -- the shop tells of orders after an opt-out too
  -- the rules for what nobody asked for do not bind a person who sends over them, or who answers within a day
  v_notice boolean := is_notice(p_message.kind);
  v_unasked boolean := not v_reply and not v_operator and not v_notice and p_message.bypass is null
    and not (p_message.kind = 'manual' and coalesce(p_conversation.last_inbound_at > p_now - interval '1 day', false));
begin
  if v_unasked then select * into v_contact from contacts where id = p_conversation.contact_id; end if;
  if v_unasked or v_notice then
    select proactive, coalesce(settings -> 'notices_after_opt_out' = 'true', false) into v_allowed, v_deaf
      from tenants where id = p_conversation.tenant_id;
  end if;
  return coalesce(
    -- whether it may leave at all
    looks('wrong_project', is_foreign(p_policy ->> 'projectRef'), p_now + interval '1 minute'),
    ends('allowlist', 'blocked', not in_allowlist(p_conversation.contact_id, p_policy)),
    ends('phone_moved', 'cancelled', not v_operator and p_message.addressee is not null and not exists (select
      from contact_addresses a where a.contact_id = p_conversation.contact_id and a.kind = 'pn'
      and a.address = p_message.addressee)),
    ends('reply_proof', 'blocked', v_reply and p_message.turn_id is null
      and not coalesce(p_conversation.last_inbound_at >= p_message.created_at - interval '30 minutes', false)),
    ends('expired', 'expired', p_message.expires_at <= p_now),
    -- who wrote after opting out is answered; what was written before the opt-out is not sent any more, nor anything
    -- that nobody asked for
    ends('opt_out', 'blocked', not v_operator and not (v_notice and v_deaf) and exists (select
      from standing_opt_out(p_conversation.contact_id) o where not v_reply or o.created_at > p_message.created_at)),
    -- a step of a ladder is over with the silence it is about
    case when p_message.kind = 'follow_up' then follow_up_guard(p_message, p_conversation, p_policy, p_now) end,
    case when v_silenced like 'paused\_%' then jsonb_build_object('rule', v_silenced) end,
    -- after a pause, what was said long ago is not said any more: a person looks at it
    ends('answer_too_old', 'cancelled', v_reply and p_message.author = 'agent' and p_message.reason like 'paused\_%'
      and coalesce(p_message.created_at < p_now - make_interval(mins => (p_policy ->> 'replyMaxAgeMinutes')::int),
        false)),
    -- where the agent only looks on nothing is answered, by nobody's words; what nobody asked for is held below
    ends('observe', 'cancelled', v_reply and is_observed(p_conversation)),
    -- "somebody will go on here" is said although the conversation is a person's already, but never over somebody who
    -- is typing, whose conversation it is or not
    ends(v_silenced, 'cancelled', p_message.author = 'agent' and v_silenced is not null
      and (p_conversation.takeover_until > p_now or p_message.kind <> 'handoff')),
    -- nothing automatic lands between a person's words; what an operator wrote by hand is a person's word itself, and a
    -- step of an order is a fact whoever is talking
    waits(v_silenced, case when v_silenced = 'takeover' and not v_reply and not v_notice and p_message.kind <> 'manual'
      then p_conversation.takeover_until end, p_now),
    looks(v_silenced, v_silenced is not null and not v_reply and not v_notice and p_message.kind <> 'manual',
      p_now + interval '10 minutes'),
    case when v_reply then
      waits('reply_cap_hour', free_at(p_instance.id, 'reply', interval '1 hour',
        coalesce(p_instance.reply_cap_hour, (p_policy ->> 'replyCapHour')::int), null, p_now), p_now) end,
    case when v_reply and p_message.author = 'agent' then
      waits('reply_share', share_free_at(p_conversation,
        coalesce(p_instance.reply_cap_hour, (p_policy ->> 'replyCapHour')::int), p_now),
        p_now) end,
    case when v_notice then coalesce(
      looks('safe_mode', v_allowed = 'none', p_now + interval '10 minutes'),
      waits('notice_cap', free_at(p_instance.id, 'transactional', interval '1 hour',
        (p_policy ->> 'noticeCapHour')::int, p_instance.hour_reset_at, p_now), p_now),
      waits('notice_pace', p_instance.next_notice_at, p_now)) end,
    case when v_unasked then coalesce(
      -- when, and whether this person
      ends('pilot_mode', 'blocked', (p_policy ->> 'pilot')::boolean and p_conversation.last_inbound_at is null),
      waits('quiet_hours', next_open(hours_of(p_instance, p_policy), p_conversation.tenant_id, p_now), p_now),
      waits('cooling_off', case when v_offer then v_contact.cooling_until end, p_now),
      waits('next_allowed', v_contact.next_allowed_at, p_now),
      waits('contact_cap', contact_free_at(p_conversation.contact_id, false, interval '1 hour',
        (p_policy ->> 'contactCapHour')::int,
        p_now), p_now),
      waits('contact_cap_week', case when v_offer
        then contact_free_at(p_conversation.contact_id, true, interval '7 days',
        (p_policy ->> 'contactCapWeek')::int, p_now) end, p_now),
      -- whether this kind
      looks('campaigns_off', v_campaign and v_allowed = 'no_campaigns', p_now + interval '10 minutes'),
      looks('safe_mode', p_message.kind <> 'manual' and v_allowed = 'none', p_now + interval '10 minutes'),
      ends('campaign_pressure', 'blocked',
        v_campaign and unanswered(p_conversation.contact_id,
        (p_policy ->> 'maxUnanswered')::int) >= (p_policy ->> 'maxUnanswered')::int),
      waits('campaign_gap', case when v_campaign
        then last_campaign(p_conversation.contact_id)
          + make_interval(days => (p_policy ->> 'campaignGapDays')::int) end, p_now),
      waits('kind_cap', free_at(p_instance.id, p_message.kind, interval '1 hour',
        coalesce((p_policy -> 'kindCaps' ->> p_message.kind)::int,
        case p_message.kind when 'prospecting' then ceil(v_hour / 2.0) when 'follow_up'
          then ceil(v_hour * 0.75) end::int),
          p_instance.hour_reset_at, p_now), p_now),
      waits('strangers', case when v_offer and is_stranger(p_conversation.contact_id)
        then free_at(p_instance.id, 'stranger', interval '1 day',
        least((v_young ->> 'strangers')::int,
          coalesce(p_instance.cap_strangers_day, (p_policy ->> 'strangersDay')::int)),
          p_instance.day_reset_at, p_now) end, p_now),
      looks('reply_ratio', v_campaign
        and low_reply_ratio(p_instance.id,
          greatest((v_young ->> 'reply_percent')::int, (p_policy ->> 'minReplyPercent')::int),
        p_now), p_now + interval '1 hour'),
      -- whether the number has room
      waits('warming_hour', case when (v_young ->> 'hour')::int < v_hour
        then free_at(p_instance.id, 'proactive', interval '1 hour', (v_young ->> 'hour')::int,
          p_instance.hour_reset_at, p_now) end,
        p_now),
      waits('warming_day', case when (v_young ->> 'day')::int < v_day
        then free_at(p_instance.id, 'proactive', interval '1 day', (v_young ->> 'day')::int, p_instance.day_reset_at,
          p_now) end, p_now),
      waits('cap_hour', free_at(p_instance.id, 'proactive', interval '1 hour', v_hour, p_instance.hour_reset_at,
        p_now), p_now),
      waits('cap_day', free_at(p_instance.id, 'proactive', interval '1 day', v_day, p_instance.day_reset_at, p_now),
        p_now),
      waits('slow_start', slow_start(p_instance, v_hour, p_now), p_now),
      -- who was shown typing has had its place in the line and in the pace
      waits('priority', case when p_message.typing_until is null and yields(p_message, p_now)
        then p_now + make_interval(secs => greatest(1, (p_policy ->> 'paceMinSeconds')::numeric)) end, p_now),
      waits('pace', case when p_message.typing_until is null then p_instance.next_proactive_at end, p_now)) end,
    -- the number is away: the news of its return wakes the lanes
    looks('number_disconnected', p_instance.status in ('close', 'connecting', 'refused'),
      p_now + interval '30 seconds'),
    -- why it is not well is the reason; what a person writes is held by WhatsApp's own words only
    number_hold(p_instance, not (v_unasked or v_notice)
      or (p_message.kind = 'manual' and p_instance.held_reason not in ('number_restricted',
      'number_rate_limited')), p_now));
end $function$;
revoke all on function public.first_guard(public.messages,public.conversations,public.instances,jsonb,timestamp with time zone) from public;
grant execute on function public.first_guard(public.messages,public.conversations,public.instances,jsonb,timestamp with time zone) to service_role;
grant execute on function public.first_guard(public.messages,public.conversations,public.instances,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.first_pending(p_conversation bigint)
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE
AS $function$ select created_at from inbox where conversation_id = p_conversation order by seq limit 1 $function$;
revoke all on function public.first_pending(bigint) from public;
grant execute on function public.first_pending(bigint) to service_role;
grant execute on function public.first_pending(bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.fits_chat(p_instance_id bigint, p_contact bigint, p_chat jsonb, p_alt jsonb)
 RETURNS integer
 LANGUAGE sql
 STABLE
AS $function$
  select case when bool_or(a.address = n.address) then 2 when bool_or(a.address is not null) then 0 else 1 end
  from (values ('pn', p_chat ->> 'pn'), ('pn', p_alt ->> 'pn'), ('lid', p_chat ->> 'lid'),
    ('lid', p_alt ->> 'lid')) n (kind, address)
    left join contact_addresses a on a.contact_id = p_contact and a.kind = n.kind
      and (a.kind = 'pn' or a.instance_id = p_instance_id)
  where n.address is not null
$function$;
revoke all on function public.fits_chat(bigint,bigint,jsonb,jsonb) from public;
grant execute on function public.fits_chat(bigint,bigint,jsonb,jsonb) to service_role;
grant execute on function public.fits_chat(bigint,bigint,jsonb,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.fold_words(p_text text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select translate(lower(left(p_text, 200)), 'áàâãäéèêëíìîïóòôõöúùûüçñ', 'aaaaaeeeeiiiiooooouuuucn')
$function$;
revoke all on function public.fold_words(text) from public;
grant execute on function public.fold_words(text) to service_role;
grant execute on function public.fold_words(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.folded_words(p_text text)
 RETURNS text[]
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select array(select w from regexp_split_to_table(regexp_replace(lower(regexp_replace(normalize(p_text, NFKD),
    '[\u0300-\u036f]', '', 'g')),
    '[\x01-\x60\x7b-\xbf\u2000-\u2bff\ufe00-\ufe0f\U0001f000-\U0001faff]+', ' ', 'g'), ' ') as w where w <> '')
$function$;
revoke all on function public.folded_words(text) from public;
grant execute on function public.folded_words(text) to service_role;
grant execute on function public.folded_words(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.follow_up_guard(p_message public.messages, p_conversation public.conversations, p_policy jsonb, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_follow_up follow_ups; v_over text;
begin
  select * into v_follow_up from follow_ups where message_id = p_message.id;
  if not found then return null; end if;
  v_over := follow_up_over(v_follow_up, p_conversation, p_policy, p_now);
  return ends(v_over, case when v_over in ('opt_out', 'campaign_pressure') then 'blocked' else 'cancelled' end,
    v_over is not null);
end $function$;
revoke all on function public.follow_up_guard(public.messages,public.conversations,jsonb,timestamp with time zone) from public;
grant execute on function public.follow_up_guard(public.messages,public.conversations,jsonb,timestamp with time zone) to service_role;
grant execute on function public.follow_up_guard(public.messages,public.conversations,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.follow_up_over(p_follow_up public.follow_ups, p_conversation public.conversations, p_policy jsonb, p_now timestamp with time zone)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_holder text := nullif(conversation_holder(p_conversation, p_now), 'agent');
begin
  return case
    when p_conversation.merged_into is not null or exists (select from messages m
        where m.conversation_id = p_conversation.id and m.seq > p_follow_up.after_seq
          and (m.direction = 'in' or m.author = 'human'))
      or exists (select from conversations o where o.contact_id = p_conversation.contact_id
        and o.last_inbound_at > p_follow_up.since) then 'follow_up_answered'
    when exists (select from standing_opt_out(p_conversation.contact_id)) then 'opt_out'
    when v_holder is not null then v_holder
    when exists (select from handoffs h where h.conversation_id = p_conversation.id and h.status <> 'returned')
      then 'handoff_open'
    when not exists (select from follow_up_ladders l where l.tenant_id = p_conversation.tenant_id
      and l.enabled_at is not null) then 'follow_ups_off'
    when unanswered(p_conversation.contact_id, (p_policy ->> 'maxUnanswered')::int)
      >= (p_policy ->> 'maxUnanswered')::int then 'campaign_pressure' end;
end $function$;
revoke all on function public.follow_up_over(public.follow_ups,public.conversations,jsonb,timestamp with time zone) from public;
grant execute on function public.follow_up_over(public.follow_ups,public.conversations,jsonb,timestamp with time zone) to service_role;
grant execute on function public.follow_up_over(public.follow_ups,public.conversations,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.follow_up_text(p_text text, p_name text, p_company text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select replace(case when n.first is null then regexp_replace(p_text, '[, ]*\{nome\}', '', 'g')
    else replace(p_text, '{nome}', n.first) end, '{loja}', p_company)
  from (select substring(p_name from '^\s*([[:alpha:]''-]{2,20})(?:\s|$)') as first) n
$function$;
revoke all on function public.follow_up_text(text,text,text) from public;
grant execute on function public.follow_up_text(text,text,text) to service_role;
grant execute on function public.follow_up_text(text,text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.forget_aside(p_tenant text, p_key text, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_ids bigint[]; v_name text; v_n int;
begin
  if p_tenant <> 'default' then return jsonb_build_object('outcome', 'not_yours'); end if;
  select array_agg(id), min(name) into v_ids, v_name
    from (select id, name from set_aside where case when p_key ~ '^aside:[0-9]{1,15}$'
    then id = substr(p_key, 7)::bigint else name = p_key end order by id for update) a;
  if v_ids is null then return jsonb_build_object('outcome', 'unknown'); end if;
  delete from webhook_events where aside_id = any (v_ids);
  get diagnostics v_n = row_count;
  update set_aside set forgotten_at = coalesce(forgotten_at, clock(p_now)) where id = any (v_ids);
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'instance.forget', v_name, jsonb_build_object('webhooks', v_n), clock(p_now));
  return jsonb_build_object('outcome', 'forgotten', 'name', v_name, 'webhooks', v_n);
end $function$;
revoke all on function public.forget_aside(text,text,text,timestamp with time zone) from public;
grant execute on function public.forget_aside(text,text,text,timestamp with time zone) to service_role;
grant execute on function public.forget_aside(text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.forwards_due(p_conversation bigint, p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(to_jsonb(f) - 'due' order by f.due), '[]') from (
    select c.id as conversation_id, c.tenant_id as tenant, i.name as instance, k.name, (select a.address
      from contact_addresses a where a.contact_id = k.id and a.kind = 'pn' limit 1) as phone,
      c.forward_due_at as due, coalesce(max(m.seq), c.forward_from) as upto, count(m.id)::int as count,
        coalesce(jsonb_agg(jsonb_build_object('text', m.text, 'typed', m.typed, 'type', m.type)
        order by m.seq) filter (where m.nth <= 20), '[]') as messages
    from conversations c join instances i on i.id = c.instance_id join contacts k on k.id = c.contact_id
      left join lateral (select x.id, x.seq, x.text, x.typed, x.type, row_number() over (order by x.seq) as nth
        from messages x where x.conversation_id = c.id and x.direction = 'in'
        and x.seq >= c.forward_from and x.status = 'handed_over' and x.reason in ('human', 'takeover', 'manual')
          and x.type <> 'reaction' and x.deleted_at is null) m on true
    where c.forward_due_at <= clock(p_now) and c.id = coalesce(p_conversation, c.id)
    group by c.id, i.name, k.id order by c.forward_due_at limit p_limit) f
$function$;
revoke all on function public.forwards_due(bigint,integer,timestamp with time zone) from public;
grant execute on function public.forwards_due(bigint,integer,timestamp with time zone) to service_role;
grant execute on function public.forwards_due(bigint,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.free_at(p_instance bigint, p_class text, p_window interval, p_cap integer, p_since timestamp with time zone, p_now timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  v_reply boolean := p_class = 'reply';
  v_from timestamptz := greatest(p_now - p_window, p_since);
  v_low timestamptz := v_from;
  v_to timestamptz := 'infinity';
  v_room bigint := p_cap;   -- places that what is under way and what is newer than v_to leave
  v_found timestamptz;
  v_newer bigint;
  v_at timestamptz;
begin
  if p_cap is null then return null; end if;
  if p_cap > 0 then
    select p_cap - count(*) into v_room from on_wire w
      where w.instance_id = p_instance and in_class(p_class, w.kind, w.first_contact);
  end if;
  if v_room <= 0 then return p_now + p_window; end if;
  if not v_reply and p_window > interval '1 hour' then
    select h.hour, h.total - h.n into v_found, v_newer from (
      select s.hour, sum(s.n) as n, sum(sum(s.n)) over (order by s.hour desc) as total from slot_hours s
        where s.instance_id = p_instance and s.hour >= slot_hour(v_from)
          and in_class(p_class, s.kind, s.first_contact) group by s.hour) h
      where h.total >= v_room order by h.hour desc limit 1;
    if not found then return null; end if;
    v_low := greatest(v_from, v_found);
    v_to := v_found + interval '1 hour';
    v_room := v_room - v_newer;
  end if;
  select m.minute, m.total - m.n into v_found, v_newer from (
    select s.minute, sum(s.n) as n, sum(sum(s.n)) over (order by s.minute desc) as total from slot_minutes s
      where s.instance_id = p_instance and s.reply = v_reply and s.minute >= slot_minute(v_low) and s.minute < v_to
        and in_class(p_class, s.kind, s.first_contact) group by s.minute) m
    where m.total >= v_room order by m.minute desc limit 1;
  if not found then return null; end if;
  select s.slot_at into v_at from slots s
    where s.instance_id = p_instance and s.reply = v_reply and s.slot_at >= v_found
      and s.slot_at < v_found + interval '1 minute' and s.slot_at > v_from
      and in_class(p_class, s.kind, s.first_contact)
    order by s.slot_at desc offset v_room - v_newer - 1 limit 1;
  return v_at + p_window;
end $function$;
revoke all on function public.free_at(bigint,text,interval,integer,timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.free_at(bigint,text,interval,integer,timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.free_at(bigint,text,interval,integer,timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.give_back(p_conversation bigint, p_by text, p_now timestamp with time zone)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_n int;
begin
  update handoffs set status = 'returned', returned_at = p_now, returned_by = p_by
    where conversation_id = p_conversation and status <> 'returned';
  get diagnostics v_n = row_count;
  update conversations set controlled_by = 'agent', escalation_reason = null, taken_by = null, taken_at = null,
    takeover_since = null, takeover_until = null, quiet_until = null, quiet_reason = null
    where id = p_conversation;
  return v_n;
end $function$;
revoke all on function public.give_back(bigint,text,timestamp with time zone) from public;
grant execute on function public.give_back(bigint,text,timestamp with time zone) to service_role;
grant execute on function public.give_back(bigint,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.give_password(p_user public.users, p_hash text, p_temporary boolean, p_by text, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update user_passwords set hash = null where user_id = p_user.id and hash is not null;
  insert into user_passwords (tenant_id, user_id, hash, temporary, asked_by, created_at)
    values (p_user.tenant_id, p_user.id, p_hash, p_temporary, p_by, p_now);
  delete from sessions where user_id = p_user.id;
end $function$;
revoke all on function public.give_password(public.users,text,boolean,text,timestamp with time zone) from public;
grant execute on function public.give_password(public.users,text,boolean,text,timestamp with time zone) to service_role;
grant execute on function public.give_password(public.users,text,boolean,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.give_up_send(p_message bigint, p_reason text, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_message messages;
begin
  update messages set status = 'unproven', reason = p_reason, lease_until = null, goes_at = null where id = p_message
    returning * into v_message;
  perform open_handoff(v_message.conversation_id, v_message.turn_id, 'send_unproven', null, false, p_now);
end $function$;
revoke all on function public.give_up_send(bigint,text,timestamp with time zone) from public;
grant execute on function public.give_up_send(bigint,text,timestamp with time zone) to service_role;
grant execute on function public.give_up_send(bigint,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.gone_meanwhile(m public.messages)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  perform 1 from contacts k join conversations c on c.contact_id = k.id
    where c.id = m.conversation_id for key share of k;
  return not exists (select from messages where id = m.id) and exists (select from erasures
    where tenant_id = m.tenant_id and hash = message_hash(m.instance_id, coalesce(m.provider_id, m.wire_id)));
end $function$;
revoke all on function public.gone_meanwhile(public.messages) from public;
grant execute on function public.gone_meanwhile(public.messages) to service_role;
grant execute on function public.gone_meanwhile(public.messages) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.greetings_to_tell(p_limit integer)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('tenant', i.tenant_id, 'instance', i.name, 'text', (select m.text
    from messages m where m.id = i.greeting_message)) order by i.id), '[]')
  from (select * from instances where greeting_message is not null and greeting_told_at is null order by id
    limit p_limit) i
$function$;
revoke all on function public.greetings_to_tell(integer) from public;
grant execute on function public.greetings_to_tell(integer) to service_role;
grant execute on function public.greetings_to_tell(integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.hand_on_opt_out(p_contact bigint, p_to bigint, p_pn text)
 RETURNS void
 LANGUAGE sql
AS $function$
  insert into opt_outs (tenant_id, address_hash, source, said_on, created_at)
    select o.tenant_id, address_hash('pn', null, p_pn), o.source, o.said_on, o.created_at
      from opt_outs o where o.contact_id = p_contact and o.revoked_at is null and p_to is null
    on conflict do nothing;
  insert into opt_outs (tenant_id, contact_id, source, said_on, created_at)
    select o.tenant_id, p_to, o.source, o.said_on, o.created_at
      from opt_outs o where o.contact_id = p_contact and o.revoked_at is null and p_to is not null
    on conflict (contact_id) where revoked_at is null
      do update set said_on = said_on_both(opt_outs.said_on, excluded.said_on)
$function$;
revoke all on function public.hand_on_opt_out(bigint,bigint,text) from public;
grant execute on function public.hand_on_opt_out(bigint,bigint,text) to service_role;
grant execute on function public.hand_on_opt_out(bigint,bigint,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.handoff_code(p_reason text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select case when p_reason in ('human', 'declined', 'no_agent', 'send_failed', 'send_unproven', 'too_old',
    'answer_too_old', 'bot_question', 'abuse_loop', 'abuse_agent',
      'abuse_repeated', 'abuse_flood', 'abuse_daily_turns', 'abuse_daily_tokens', 'erased', 'tool_changed',
      'tool_limit', 'tool_failed', 'tool_uncertain', 'approval_expired')
        or (is_technical(p_reason) and p_reason ~ '^[a-z_]{1,40}$') then p_reason
    when p_reason is not null then 'words' end
$function$;
revoke all on function public.handoff_code(text) from public;
grant execute on function public.handoff_code(text) to service_role;
grant execute on function public.handoff_code(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.handoffs_to_tell(p_manager text, p_remind_ms integer, p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(to_jsonb(l) order by l.id), '[]') from (
    select h.id, case h.status when 'open' then 'told' else 'reminded' end as step, h.tenant_id as tenant,
      h.conversation_id, i.name as instance, h.reason, h.summary, h.suggestion,
      h.controls, h.created_at, k.name, a.address as phone, coalesce(a.address = p_manager, false) as is_manager,
      (select coalesce(jsonb_agg(jsonb_build_object('author', case when m.kind = 'manual' then 'human' else m.author
        end, 'type', m.type, 'text', m.text, 'typed',
        m.typed, 'at', m.provider_at,
          'said', m.direction = 'in' or was_said(m.status)) order by m.seq), '[]') from (
        select * from messages x where x.conversation_id = h.conversation_id and x.type <> 'reaction'
          and x.deleted_at is null and x.kind is distinct from 'operator'
          and not coalesce(x.meaning ?| array['command', 'handset'], false)
            and (x.direction = 'in' or was_said(x.status) or (x.status = 'queued' and not is_proactive(x.kind)
            and x.turn_id is not null))
        order by x.seq desc limit 6) m) as messages
    from handoffs h join conversations c on c.id = h.conversation_id join instances i on i.id = c.instance_id
      join contacts k on k.id = c.contact_id
      left join lateral (select address from contact_addresses where contact_id = k.id and kind = 'pn'
        limit 1) a on true
    where h.status <> 'returned' and (h.status = 'open'
      or (h.controls and h.taken_at is null and h.reminded_at is null
        and h.notified_at <= clock(p_now) - make_interval(secs => p_remind_ms / 1000.0)))
    order by h.controls desc, h.id limit p_limit) l
$function$;
revoke all on function public.handoffs_to_tell(text,integer,integer,timestamp with time zone) from public;
grant execute on function public.handoffs_to_tell(text,integer,integer,timestamp with time zone) to service_role;
grant execute on function public.handoffs_to_tell(text,integer,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.has_sends(p_conversation bigint)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select exists (select from outbox where conversation_id = p_conversation)
    or exists (select from on_wire where conversation_id = p_conversation)
$function$;
revoke all on function public.has_sends(bigint) from public;
grant execute on function public.has_sends(bigint) to service_role;
grant execute on function public.has_sends(bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.has_users()
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('any', exists (select from users))
$function$;
revoke all on function public.has_users() from public;
grant execute on function public.has_users() to service_role;
grant execute on function public.has_users() to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.heal_send(p_message public.messages, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_instance instances;
begin
  if p_message.turn_id is not null then
    update messages r set status = 'queued', reason = null, due_at = p_now
      where r.turn_id = p_message.turn_id and r.direction = 'out' and r.status = 'cancelled'
        and r.reason = 'earlier_part_failed' and r.id > p_message.id and r.created_at > p_now - interval '10 minutes'
        and not exists (select from messages n
          where n.conversation_id = p_message.conversation_id and n.turn_id is distinct from p_message.turn_id
            and n.seq > p_message.seq);
  end if;
  if p_message.turn_id is null or not exists (select from messages r where r.turn_id = p_message.turn_id
    and r.direction = 'out'
    and r.status = 'cancelled' and r.reason = 'earlier_part_failed') then
    perform close_handoff(p_message, 'send_failed', p_now);
  end if;
  if p_message.sent_to like '%@%' then update conversations set jid = p_message.sent_to
    where id = p_message.conversation_id and jid <> p_message.sent_to; end if;
  if p_message.error_class is distinct from 'provider_refused' then return; end if;
  select * into v_instance from instances where id = p_message.instance_id for no key update;
  update instances set trust = least(100, trust_now(v_instance, p_now) + (incident('error_ack') ->> 'trust')::numeric),
    trust_at = p_now where id = v_instance.id returning * into v_instance;
  if v_instance.held_reason in ('number_error_acks', 'number_trust') and not exists (select from dead_sends o
    where o.instance_id = p_message.instance_id and o.error_class = 'provider_refused' and o.message_id <> p_message.id
      and o.created_at > p_now - interval '1 day') then
    perform release_number(v_instance, 'arrived_after_all', p_now);
    update instances set held_since = case when held_in_row > 0 then held_since end,
      held_in_row = greatest(0, held_in_row - 1) where id = v_instance.id;
  end if;
end $function$;
revoke all on function public.heal_send(public.messages,timestamp with time zone) from public;
grant execute on function public.heal_send(public.messages,timestamp with time zone) to service_role;
grant execute on function public.heal_send(public.messages,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.health_snapshot(p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object(
    'now', clock(p_now),
    'project_ref', (select value from installation where key = 'project_ref'),
    'processes', (select coalesce(jsonb_agg(jsonb_build_object('id', id, 'mode', mode, 'version', version,
      'seen_seconds', extract(epoch from clock(p_now) - seen_at), 'breakers', breakers, 'queues', queues)), '[]')
      from process_status where seen_at > clock(p_now) - interval '1 hour'),
    'instances', (select coalesce(jsonb_agg(jsonb_build_object('name', name, 'status', status, 'status_at', status_at)),
      '[]') from instances),
    'unanswered', (select jsonb_build_object('count', count(*), 'oldest_seconds', extract(epoch
      from clock(p_now) - min(created_at))) from inbox),
    'outbound', (select jsonb_build_object('due', (select count(*) from outbox where due_at <= clock(p_now)),
      'uncertain', count(*) filter (where status = 'uncertain') + unproven_count(),
      'sending', count(*) filter (where status = 'sending')) from on_wire),
    'paused', pause_reason('default', null, null, null))
$function$;
revoke all on function public.health_snapshot(timestamp with time zone) from public;
grant execute on function public.health_snapshot(timestamp with time zone) to service_role;
grant execute on function public.health_snapshot(timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.hear(p_webhooks jsonb, p_options jsonb, p_now timestamp with time zone)
 RETURNS public.heard_event[]
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select array_agg(row(w.n, i.tenant_id, i.id, e.event ->> 'kind', coalesce((e.event ->> 'fromMe')::boolean, false),
      e.event, e.event ->> 'providerId', c.chat ->> 'pn', c.chat ->> 'lid', c.alt ->> 'pn', c.alt ->> 'lid',
      e.event ->> 'kind' in ('message', 'ack') and jsonb_array_length(w.webhook -> 'events') = 1
      and not w.webhook ?| array['kept', 'replays'] and not e.event ? 'forged'
      and (e.event ->> 'kind' = 'ack' or not exists (select from forged_messages f where f.instance_id = i.id))
      and (e.event ->> 'instanceId' is null or e.event ->> 'instanceId' = i.provider_id)
      and webhook_refusal(i, i.name, e.event ->> 'instanceId', w.webhook -> 'from', p_options ->> 'onlyInstance',
        coalesce((w.webhook ->> 'postedAt')::timestamptz, p_now)) is null,
      not speaks_alone(w.webhook -> 'from'), w.webhook ->> 'requestId')::heard_event order by w.n)
  from jsonb_array_elements(p_webhooks) with ordinality w (webhook, n)
    cross join jsonb_array_elements(w.webhook -> 'events') e (event) join instances i on i.name = e.event ->> 'instance'
    cross join lateral (select e.event -> 'chat' as chat, e.event -> 'alt' as alt) c
$function$;
revoke all on function public.hear(jsonb,jsonb,timestamp with time zone) from public;
grant execute on function public.hear(jsonb,jsonb,timestamp with time zone) to service_role;
grant execute on function public.hear(jsonb,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.heartbeat(p_process jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_seen bigint := (p_process ->> 'resets_seen')::bigint;
  v_newest bigint := coalesce((select max(id) from breaker_resets), 0);
begin
  insert into process_status (id, mode, version, started_at, seen_at, breakers, queues)
    values (p_process ->> 'id', p_process ->> 'mode', p_process ->> 'version',
      (p_process ->> 'started_at')::timestamptz, clock(p_now),
      coalesce(p_process -> 'breakers', '[]'), coalesce(p_process -> 'queues', '{}'))
    on conflict (id) do update set seen_at = excluded.seen_at, breakers = excluded.breakers, queues = excluded.queues;
  return jsonb_build_object('installation', installation_id(), 'resets_seen', v_newest,
    'resets', (select coalesce(jsonb_agg(jsonb_build_object('breaker', r.breaker, 'instance', r.instance, 'actor',
      r.actor) order by r.id), '[]')
      from breaker_resets r where r.id > v_seen and r.id <= v_newest),
    'others', (select coalesce(jsonb_agg(jsonb_build_object('process', p.id, 'breakers', p.breakers)), '[]')
      from process_status p
      where p.id <> p_process ->> 'id' and is_heard(p.seen_at, clock(p_now))
        and p.breakers @? '$[*] ? (@.state != "closed")'),
    'signs', (select coalesce(jsonb_object_agg(b ->> 'instance', signs_of_life(b ->> 'instance', clock(p_now))), '{}')
      from jsonb_array_elements(coalesce(p_process -> 'breakers', '[]')) b
      where b ->> 'name' = 'evolution' and b ->> 'state' = 'open'));
end $function$;
revoke all on function public.heartbeat(jsonb,timestamp with time zone) from public;
grant execute on function public.heartbeat(jsonb,timestamp with time zone) to service_role;
grant execute on function public.heartbeat(jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.hold_campaign(p_campaign public.campaigns, p_reason text, p_actor text, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update campaigns set status = 'paused', reason = p_reason where id = p_campaign.id;
  insert into julia_status (tenant_id, status, motivo, alterado_via, scope, target, created_at)
    values (p_campaign.tenant_id, 'pausado', p_reason, p_actor, 'campaign', p_campaign.name, p_now);
end $function$;
revoke all on function public.hold_campaign(public.campaigns,text,text,timestamp with time zone) from public;
grant execute on function public.hold_campaign(public.campaigns,text,text,timestamp with time zone) to service_role;
grant execute on function public.hold_campaign(public.campaigns,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.hold_chats(p_heard public.heard_event[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_contacts bigint[]; v_unknown bigint[];
begin
  select array_agg(distinct contact_id) filter (where contact_id is not null),
      array_agg(distinct hashtextextended(tenant_id || '/' || kind || '/' || address, 14))
        filter (where contact_id is null)
    into v_contacts, v_unknown from named_in(p_heard);
  if v_unknown is not null then
    perform pg_advisory_xact_lock(k) from (select k from unnest(v_unknown) k order by 1) u;
    -- who was made while these were waited for is known now
    select array_agg(distinct contact_id) into v_contacts from named_in(p_heard) where contact_id is not null;
  end if;
  perform 1 from contacts where id = any (v_contacts) order by id for key share;
  if exists (select from unnest(p_heard) where from_me) then
    perform lock_own_words(k.instance_id, k.key) from (
      select distinct h.instance_id, own_words(h.event -> 'content' ->> 'typed', c.name) as key
        from unnest(p_heard) h left join contact_addresses a on a.kind = 'pn' and a.tenant_id = h.tenant_id
          and a.address = h.pn left join contacts c on c.id = a.contact_id
        where h.from_me and h.event -> 'content' ->> 'typed' is not null order by 1, 2) k
      where k.key is not null;
  end if;
  perform 1 from conversations where id in (
      select id from conversations where contact_id = any (v_contacts)
      union all select m.conversation_id from unnest(p_heard) h
        join messages m on m.instance_id = h.instance_id and m.provider_id = h.provider_id)
    order by id for no key update;
  perform lock_provider_id(k.instance_id, k.provider_id) from (
    select distinct instance_id, provider_id from unnest(p_heard) where provider_id is not null order by 1, 2) k;
end $function$;
revoke all on function public.hold_chats(public.heard_event[]) from public;
grant execute on function public.hold_chats(public.heard_event[]) to service_role;
grant execute on function public.hold_chats(public.heard_event[]) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.hold_named(p_instance public.instances, p_body jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  perform 1 from contacts where id in (
      select c.contact_id from digits_in(p_body) d cross join lateral (
        (select a.contact_id from contact_addresses a where a.tenant_id = p_instance.tenant_id and a.kind = 'pn'
          and a.address = any (both_writings(d)) limit 1)
        union all (select a.contact_id from contact_addresses a where a.instance_id = p_instance.id and a.kind = 'lid'
          and a.address = d limit 1)) c)
    order by id for key share;
end $function$;
revoke all on function public.hold_named(public.instances,jsonb) from public;
grant execute on function public.hold_named(public.instances,jsonb) to service_role;
grant execute on function public.hold_named(public.instances,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.hold_send(p_message bigint, p_reason text, p_until timestamp with time zone, p_look timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_message messages;
begin
  update messages set reason = p_reason, goes_at = p_until, due_at = case when coalesce(p_until, p_look) is null
    then due_at else least(p_until, p_look, expires_at) end where id = p_message returning * into v_message;
  -- when the cap has room again, a talk that goes on comes before one that begins
  if p_reason = 'reply_cap_hour' and not exists (select from slots s where s.conversation_id = v_message.conversation_id
    and s.reply and s.slot_at > v_message.created_at - interval '1 day') then
    update messages set due_at = due_at + interval '2 seconds' where id = p_message returning * into v_message;
  end if;
  if p_reason = 'reply_share' then
    perform add_notice(jsonb_build_object('tenant', v_message.tenant_id, 'key',
      'share-' || v_message.conversation_id || '-'
      || to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD'), 'kind', 'alert', 'urgent', false,
      'about', null, 'text', 'A conversa ' || v_message.conversation_id
        || ' já usou a sua parte das respostas do número nesta hora (um quarto de MAX_RESPOSTAS_POR_HORA): as próximas esperam, e as outras conversas seguem. Veja se é uma pessoa.'), null);
  end if;
  return jsonb_build_object('action', 'wait', 'until', case when coalesce(p_until, p_look) is not null
    then v_message.due_at end, 'reason', p_reason, 'message_id', p_message);
end $function$;
revoke all on function public.hold_send(bigint,text,timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.hold_send(bigint,text,timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.hold_send(bigint,text,timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.hold_turn(p_conversation bigint, p_ms integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 SET search_path TO 'public', 'pg_temp'
AS $function$
  update conversations set typing_until = clock(p_now) + make_interval(secs => p_ms / 1000.0), typing_seq = inbound_seq
    where id = p_conversation;
  select '{}'::jsonb
$function$;
revoke all on function public.hold_turn(bigint,integer,timestamp with time zone) from public;
grant execute on function public.hold_turn(bigint,integer,timestamp with time zone) to service_role;
grant execute on function public.hold_turn(bigint,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.hold_unread(p_message bigint)
 RETURNS public.messages
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_conversation bigint; v_message messages;
begin
  select c.id into v_conversation from conversations c join messages m on m.conversation_id = c.id
    where m.id = p_message for no key update of c;
  select * into v_message from messages where id = p_message and conversation_id = v_conversation
    and (type <> 'audio' or typed is null) and coalesce(media ->> 'read', 'later') in ('failed', 'later') for update;
  return v_message;
end $function$;
revoke all on function public.hold_unread(bigint) from public;
grant execute on function public.hold_unread(bigint) to service_role;
grant execute on function public.hold_unread(bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.honour_suppression(p_instance public.instances, p_contact bigint, p_pn text, p_lid text)
 RETURNS void
 LANGUAGE sql
AS $function$
  insert into opt_outs (tenant_id, contact_id, source, said_on, created_at)
    select o.tenant_id, p_contact, o.source, o.said_on, o.created_at from opt_outs o
    where o.tenant_id = p_instance.tenant_id and o.contact_id is null and o.revoked_at is null
      and o.address_hash in (address_hash('pn', null, p_pn), address_hash('lid', p_instance.id, p_lid))
    order by o.id limit 1
    on conflict (contact_id) where revoked_at is null
      do update set said_on = said_on_both(opt_outs.said_on, excluded.said_on)
$function$;
revoke all on function public.honour_suppression(public.instances,bigint,text,text) from public;
grant execute on function public.honour_suppression(public.instances,bigint,text,text) to service_role;
grant execute on function public.honour_suppression(public.instances,bigint,text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.hours_of(p_instance public.instances, p_policy jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_own jsonb := (agent_of(p_instance)).hours;
begin
  if v_own is null and jsonb_typeof(p_policy -> 'hours') is distinct from 'object' then return null; end if;
  return '{"start": "00:00", "end": "24:00", "weekdays": [1, 2, 3, 4, 5, 6, 7], "holidays": true}'::jsonb
    || case when jsonb_typeof(p_policy -> 'hours') = 'object' then p_policy -> 'hours'
      else '{}' end || coalesce(v_own, '{}')
    || jsonb_build_object('tz', coalesce(p_policy ->> 'tz', 'UTC'));
end $function$;
revoke all on function public.hours_of(public.instances,jsonb) from public;
grant execute on function public.hours_of(public.instances,jsonb) to service_role;
grant execute on function public.hours_of(public.instances,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.ignored_message(p_tenant text, p_provider_id text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('id', w.id, 'instance', w.instance, 'received_at', w.received_at, 'reason', r ->> 'reason')
    from ignored_of(p_tenant, null, null) w, jsonb_array_elements(w.results) r
  where w.results @> jsonb_build_array(jsonb_build_object('provider_id', p_provider_id))
    and r ->> 'provider_id' = p_provider_id order by w.id desc limit 1
$function$;
revoke all on function public.ignored_message(text,text) from public;
grant execute on function public.ignored_message(text,text) to service_role;
grant execute on function public.ignored_message(text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.ignored_of(p_tenant text, p_reason text, p_instance text)
 RETURNS SETOF public.webhook_events
 LANGUAGE sql
 STABLE
AS $function$
  select * from webhook_events where ignored is not null and tenant_id = p_tenant
    and (p_reason is null or p_reason = any (ignored))
    and (p_instance is null or coalesce(instance, body ->> 'instance') = p_instance)
$function$;
revoke all on function public.ignored_of(text,text,text) from public;
grant execute on function public.ignored_of(text,text,text) to service_role;
grant execute on function public.ignored_of(text,text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.ignored_reasons(p_results jsonb)
 RETURNS text[]
 LANGUAGE sql
 STABLE
AS $function$
  select array_agg(reason order by reason <> 'unknown_message', not is_unplaced(reason), reason)
    from (select distinct r ->> 'reason' as reason from jsonb_array_elements(p_results) r
    where (r ->> 'entry')::boolean or r ->> 'outcome' = 'refused'
      -- it may have come in the same webhook
      or (r ->> 'reason' = 'unknown_message' and exists (select from early_updates e
        where e.instance_id = (r ->> 'instance_id')::bigint and e.provider_id = r ->> 'provider_id'))) r
$function$;
revoke all on function public.ignored_reasons(jsonb) from public;
grant execute on function public.ignored_reasons(jsonb) to service_role;
grant execute on function public.ignored_reasons(jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.ignored_webhooks(p_tenant text, p_reason text, p_instance text, p_after bigint, p_limit integer)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(to_jsonb(w) order by w.id), '[]') from (
    select id, instance, event, body, results, posted_by, ignored, received_at
      from ignored_of(p_tenant, p_reason, p_instance) i where i.id > p_after and is_whole(i.body) order by i.id
      limit p_limit) w
$function$;
revoke all on function public.ignored_webhooks(text,text,text,bigint,integer) from public;
grant execute on function public.ignored_webhooks(text,text,text,bigint,integer) to service_role;
grant execute on function public.ignored_webhooks(text,text,text,bigint,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.import_contacts(p_tenant text, p_instance text, p_rows jsonb, p_tags jsonb, p_actor text, p_first boolean, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_instance instances; v_row jsonb; v_id bigint; v_known boolean; v_out jsonb := '[]';
begin
  select * into v_instance from instances where tenant_id = p_tenant and (p_instance is null or name = p_instance)
    order by id limit 1;
  if not found then raise exception 'unknown instance' using errcode = 'WA001'; end if;
  -- one order for all, so that two lists at once never wait for each other
  for v_row in select r from jsonb_array_elements(p_rows) r order by r ->> 'phone' loop
    v_known := find_contact(p_tenant, null, v_row ->> 'phone') is not null;
    v_id := ensure_contact(v_instance, v_row ->> 'phone', null, v_row ->> 'name');
    if v_row ->> 'name' is not null then
      update contacts set name = v_row ->> 'name' where id = v_id and name is null;
    end if;
    insert into contact_tags (tenant_id, contact_id, tag, added_by, created_at)
      select p_tenant, v_id, t, p_actor, clock(p_now) from (select jsonb_array_elements_text(p_tags) union
        select jsonb_array_elements_text(coalesce(v_row -> 'tags', '[]'))) x (t) order by 3 on conflict do nothing;
    v_out := v_out || jsonb_build_object('phone', v_row ->> 'phone', 'outcome', case
      when exists (select from standing_opt_out(v_id)) then 'opted_out' when v_known then 'known' else 'added' end);
  end loop;
  if p_first then
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (p_tenant, p_actor, 'contact.import', null, jsonb_build_object('tags', p_tags), clock(p_now));
  end if;
  return v_out;
end $function$;
revoke all on function public.import_contacts(text,text,jsonb,jsonb,text,boolean,timestamp with time zone) from public;
grant execute on function public.import_contacts(text,text,jsonb,jsonb,text,boolean,timestamp with time zone) to service_role;
grant execute on function public.import_contacts(text,text,jsonb,jsonb,text,boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.in_allowlist(p_contact bigint, p_policy jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  return jsonb_typeof(p_policy -> 'allowlist') is distinct from 'array'
    or exists (select from contact_addresses a where a.contact_id = p_contact and a.kind = 'pn'
      and p_policy -> 'allowlist' ? a.address);
end $function$;
revoke all on function public.in_allowlist(bigint,jsonb) from public;
grant execute on function public.in_allowlist(bigint,jsonb) to service_role;
grant execute on function public.in_allowlist(bigint,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.in_class(p_class text, p_kind text, p_first_contact boolean)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select case p_class when 'reply' then not is_proactive(p_kind)
    when 'proactive' then is_proactive(p_kind) and not is_notice(p_kind)
    when 'stranger' then is_proactive(p_kind) and p_first_contact else p_kind = p_class end
$function$;
revoke all on function public.in_class(text,text,boolean) from public;
grant execute on function public.in_class(text,text,boolean) to service_role;
grant execute on function public.in_class(text,text,boolean) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.in_ms(p_until timestamp with time zone, p_now timestamp with time zone)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE
AS $function$ select (case when p_until > p_now then ceil(extract(epoch from p_until - p_now) * 1000)
  when p_until <= p_now then 0 end)::bigint $function$;
revoke all on function public.in_ms(timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.in_ms(timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.in_ms(timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.incident(p_name text)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('reason', i.reason, 'minutes', i.minutes, 'trust', i.trust) from (values
    -- a setting of ours or of Evolution's is wrong: nothing is said of the number
    ('send_unauthorized', 'number_unauthorized', 5, 0),
    ('send_unlicensed', 'number_unlicensed', 5, 0),
    -- WhatsApp's own words about one message
    ('send_rate_limited', 'number_rate_limited', 5, 10),
    ('send_restricted', 'number_restricted', 60, 30),
    -- WhatsApp has thrown the number out (403 at its connection): nothing is left of its trust
    ('banned', 'number_restricted', 60, 100),
    -- a message that it took and then refused; heal_send gives that back
    ('error_ack', 'number_error_acks', 30, 20),
    -- what only a look over many sends shows
    ('nothing_arrives', 'number_undelivered', 15, 15),
    ('little_arrives', 'number_few_deliveries', 30, 10),
    -- a message on trial of which nobody heard again; the reason is the one of the hold
    ('trial_unanswered', null, 15, 5)) i (name, reason, minutes, trust)
  where i.name = p_name
$function$;
revoke all on function public.incident(text) from public;
grant execute on function public.incident(text) to service_role;
grant execute on function public.incident(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.inside_hours(p_hours jsonb, p_tenant text, p_at timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_local timestamp := p_at at time zone (p_hours ->> 'tz');
begin
  if p_hours is null then return true; end if;
  return v_local::time >= (p_hours ->> 'start')::time and v_local::time < (p_hours ->> 'end')::time
    and p_hours -> 'weekdays' @> to_jsonb(extract(isodow from v_local)::int)
    and ((p_hours ->> 'holidays')::boolean or not exists (select from holidays h
      where h.tenant_id in ('default', p_tenant) and h.day = v_local::date and h.closed));
end $function$;
revoke all on function public.inside_hours(jsonb,text,timestamp with time zone) from public;
grant execute on function public.inside_hours(jsonb,text,timestamp with time zone) to service_role;
grant execute on function public.inside_hours(jsonb,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.installation_id()
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_server text := '';
begin
  begin
    select system_identifier::text into v_server from pg_control_system();
  exception when insufficient_privilege or undefined_function or feature_not_supported then
    null; -- a service that hides it: secret and name are left
  end;
  return left(keyed_hash('installation/' || v_server || '/' || current_database()), 12);
end $function$;
revoke all on function public.installation_id() from public;
grant execute on function public.installation_id() to service_role;
grant execute on function public.installation_id() to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.instance_history(p_tenant text, p_name text, p_limit integer)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('event', e.event, 'reason', e.reason, 'details', e.details, 'at',
    e.created_at) order by e.id desc), '[]')
  from (select e.* from instance_events e join instances i on i.id = e.instance_id
    where i.name = p_name and i.tenant_id = p_tenant order by e.id desc limit p_limit) e
$function$;
revoke all on function public.instance_history(text,text,integer) from public;
grant execute on function public.instance_history(text,text,integer) to service_role;
grant execute on function public.instance_history(text,text,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.is_campaign(p_kind text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$ select p_kind in ('campaign', 'prospecting') $function$;
revoke all on function public.is_campaign(text) from public;
grant execute on function public.is_campaign(text) to service_role;
grant execute on function public.is_campaign(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.is_context(p_event jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$ select p_event ->> 'kind' = 'reaction' or (coalesce((p_event ->> 'machine')::boolean, false)
  and not (p_event ->> 'fromMe')::boolean) $function$;
revoke all on function public.is_context(jsonb) from public;
grant execute on function public.is_context(jsonb) to service_role;
grant execute on function public.is_context(jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.is_erased(p_instance public.instances, p_event jsonb, p_sent_at timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_own boolean := coalesce((p_event ->> 'fromMe')::boolean, false);
begin
  if not exists (select from erasures where tenant_id = p_instance.tenant_id) then return false; end if;
  return exists (select from erasures where tenant_id = p_instance.tenant_id and hash = message_hash(p_instance.id,
    p_event ->> 'providerId'))
    or exists (select from (values ('pn', p_event -> 'chat' ->> 'pn'), ('lid', p_event -> 'chat' ->> 'lid'),
      ('pn', p_event -> 'alt' ->> 'pn'), ('lid', p_event -> 'alt' ->> 'lid')) a (kind, address)
      join erasures e on e.tenant_id = p_instance.tenant_id and e.hash = address_hash(a.kind, p_instance.id, a.address)
      where p_sent_at < date_trunc('second', e.erased_at) or (v_own and p_sent_at <= e.own_until));
end $function$;
revoke all on function public.is_erased(public.instances,jsonb,timestamp with time zone) from public;
grant execute on function public.is_erased(public.instances,jsonb,timestamp with time zone) to service_role;
grant execute on function public.is_erased(public.instances,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.is_erased_news(p_instance public.instances, p_event jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  return exists (select from erasures where tenant_id = p_instance.tenant_id)
    and (exists (select from erasures where tenant_id = p_instance.tenant_id and hash = message_hash(p_instance.id,
      p_event ->> 'providerId'))
      or names_erased(p_instance, jsonb_strip_nulls(coalesce(nullif(p_event -> 'chat', 'null'), '{}')),
        (p_event ->> 'changedAt')::timestamptz));
end $function$;
revoke all on function public.is_erased_news(public.instances,jsonb) from public;
grant execute on function public.is_erased_news(public.instances,jsonb) to service_role;
grant execute on function public.is_erased_news(public.instances,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.is_foreign(p_project_ref text)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  return p_project_ref is not null and exists (select from installation
    where key = 'project_ref' and value <> p_project_ref);
end $function$;
revoke all on function public.is_foreign(text) from public;
grant execute on function public.is_foreign(text) to service_role;
grant execute on function public.is_foreign(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.is_heard(p_seen_at timestamp with time zone, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select p_seen_at > p_now - interval '15 seconds'
$function$;
revoke all on function public.is_heard(timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.is_heard(timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.is_heard(timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.is_notice(p_kind text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$ select p_kind = 'transactional' $function$;
revoke all on function public.is_notice(text) from public;
grant execute on function public.is_notice(text) to service_role;
grant execute on function public.is_notice(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.is_observed(p public.conversations)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select p.mode = 'observe' or exists (select from observed o join instances i on i.id = p.instance_id
    where o.tenant_id = p.tenant_id and o.target = case o.scope when 'instance' then i.name
      else (select (agent_of(i)).slug) end)
$function$;
revoke all on function public.is_observed(public.conversations) from public;
grant execute on function public.is_observed(public.conversations) to service_role;
grant execute on function public.is_observed(public.conversations) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.is_offer(p_kind text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$ select p_kind in ('campaign', 'prospecting', 'follow_up') $function$;
revoke all on function public.is_offer(text) from public;
grant execute on function public.is_offer(text) to service_role;
grant execute on function public.is_offer(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.is_plain_answer(p_result jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select p_result ->> 'kind' = 'answer' and coalesce(p_result -> 'effects', '[]') = '[]'
    and coalesce(p_result -> 'tool_calls', '[]') = '[]' and not p_result ? 'quiet'
    and not coalesce((p_result ->> 'forward')::boolean, false)
    and not coalesce(p_result -> 'model_calls', '[]') @> '[{"outcome": "refusal"}]'
$function$;
revoke all on function public.is_plain_answer(jsonb) from public;
grant execute on function public.is_plain_answer(jsonb) to service_role;
grant execute on function public.is_plain_answer(jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.is_proactive(p_kind text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$ select p_kind not in ('reply', 'handoff') $function$;
revoke all on function public.is_proactive(text) from public;
grant execute on function public.is_proactive(text) to service_role;
grant execute on function public.is_proactive(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.is_silence_unusual(p_instance public.instances, p_since timestamp with time zone, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  with days as (
    select d, exists (select from messages m
      where m.created_at > greatest(p_since, p_now - interval '3 hours') - make_interval(days => d)
      and m.created_at <= p_now - make_interval(days => d)
      and m.instance_id = p_instance.id and m.direction = 'in') as heard
    from generate_series(1, 14) d where p_instance.created_at < p_now - make_interval(days => d, hours => 3)
  )
  select count(*) >= 7 and count(*) filter (where heard) >= 0.8 * count(*) and bool_and(heard or d % 7 <> 0) from days
$function$;
revoke all on function public.is_silence_unusual(public.instances,timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.is_silence_unusual(public.instances,timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.is_silence_unusual(public.instances,timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.is_stranger(p_contact bigint)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  return not exists (select from conversations where contact_id = p_contact and last_inbound_at is not null);
end $function$;
revoke all on function public.is_stranger(bigint) from public;
grant execute on function public.is_stranger(bigint) to service_role;
grant execute on function public.is_stranger(bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.is_technical(p_reason text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$ select p_reason in ('turn_failed', 'no_model') or p_reason like 'model\_%' $function$;
revoke all on function public.is_technical(text) from public;
grant execute on function public.is_technical(text) to service_role;
grant execute on function public.is_technical(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.is_there(p_seen_at timestamp with time zone, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select p_seen_at > p_now - interval '1 minute'
$function$;
revoke all on function public.is_there(timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.is_there(timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.is_there(timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.is_unplaced(p_reason text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$ select p_reason = any ('{unknown_chat,empty,unreadable,no_instance,unknown_event}') $function$;
revoke all on function public.is_unplaced(text) from public;
grant execute on function public.is_unplaced(text) to service_role;
grant execute on function public.is_unplaced(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.is_webhook_wrong(p_name text)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$ select exists (select from alerts where key = 'webhook_wrong:' || p_name and status = 'firing') $function$;
revoke all on function public.is_webhook_wrong(text) from public;
grant execute on function public.is_webhook_wrong(text) to service_role;
grant execute on function public.is_webhook_wrong(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.is_whole(p_body jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$ select p_body not in ('{"left_out": "too_many"}', '{"left_out": "large"}', '{"erased": true}') $function$;
revoke all on function public.is_whole(jsonb) from public;
grant execute on function public.is_whole(jsonb) to service_role;
grant execute on function public.is_whole(jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.job_status(p_jobs jsonb)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('job', r.job, 'tick', r.tick, 'status', r.status, 'started_at',
    r.started_at, 'ended_at', r.ended_at, 'ms', r.ms, 'count', r.count,
    'error', r.error, 'last_good_at', (select g.ended_at from job_runs g
      where g.job = j.name and g.status in ('done', 'skipped') order by g.tick desc limit 1)) order by r.job), '[]')
  from jsonb_array_elements_text(p_jobs) j (name), lateral (select * from job_runs n where n.job = j.name
    order by n.tick desc limit 1) r
$function$;
revoke all on function public.job_status(jsonb) from public;
grant execute on function public.job_status(jsonb) to service_role;
grant execute on function public.job_status(jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.judge_again(p_conversation public.conversations, p_said_at timestamp with time zone, p_now timestamp with time zone)
 RETURNS bigint[]
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_message messages; v_judged jsonb; v_wake bigint[] := '{}';
begin
  select * into v_message from messages m where m.conversation_id = p_conversation.id and m.author = 'human'
    and m.type <> 'reaction'
    and not coalesce(m.meaning ? 'handset', false)
      and m.created_at > p_now - interval '5 minutes' and m.provider_at >= date_trunc('second', p_said_at)
        order by m.seq desc limit 1;
  if not found then return v_wake; end if;
  -- within one second the order of arrival counts, unless nothing went before: then these words began the talk, which a
  -- phone does not do by itself
  if date_trunc('second', v_message.provider_at) = date_trunc('second', p_said_at) and exists (select from messages m
    where m.conversation_id = p_conversation.id and m.seq < v_message.seq and m.seq > p_conversation.last_seq - 200
      and m.author <> 'automatic' and m.type <> 'reaction'
        and m.provider_at > v_message.provider_at - interval '10 minutes')
        then return v_wake; end if;
  if v_message.meaning ? 'own_words'
    then perform lock_own_words(p_conversation.instance_id, v_message.meaning ->> 'own_words'); end if;
  v_judged := judge_message(p_conversation, v_message.typed, v_message.meaning ->> 'own_words', v_message.provider_at,
    true, false, v_message.id,
    p_conversation.controlled_by = 'human' or p_conversation.takeover_since < v_message.created_at, p_now);
  if v_judged ->> 'verdict' <> 'greeting' then return v_wake; end if;
  update messages set author = 'automatic', reason = 'greeting',
    meaning = nullif(coalesce(meaning, '{}') || coalesce(nullif(v_judged -> 'meaning', 'null'), '{}'), '{}')
    where id = v_message.id;
  update instances set greeting_message = v_message.id where id = p_conversation.instance_id
    and greeting_message is null;
  if undo_takeover(p_conversation.id, v_message.created_at, p_now) then v_wake := v_wake || p_conversation.id; end if;
  return v_wake || mark_automatic(p_conversation.instance_id, v_message.meaning ->> 'own_words', 'greeting',
    v_message.provider_at, p_now);
end $function$;
revoke all on function public.judge_again(public.conversations,timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.judge_again(public.conversations,timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.judge_again(public.conversations,timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.judge_campaign(p_campaign public.campaigns, p_now timestamp with time zone)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_out int; v_lost int; v_reason text;
begin
  select count(*) filter (where l.opted_out), count(*) filter (where l.lost) into v_out, v_lost from (
    select exists (select from standing_opt_out(c.contact_id) o where o.created_at >= m.claimed_at) as opted_out,
      m.delivered_at is null and m.status <> 'read'
        and (m.status = 'failed' or m.claimed_at < p_now - interval '1 hour') as lost
    from campaign_recipients r join messages m on m.id = r.message_id join conversations c on c.id = m.conversation_id
    where r.campaign_id = p_campaign.id and r.status = 'queued' and m.claimed_at is not null
      and m.claimed_at >= coalesce(p_campaign.judged_from, '-infinity')
      and m.status in ('sent', 'delivered', 'read', 'failed', 'unproven')
    order by m.claimed_at desc limit 50) l;
  v_reason := case when v_out * 100 > 2 * 50 then 'opt_outs' when v_lost * 100 > 10 * 50 then 'deliveries' end;
  if v_reason is null then return null; end if;
  perform hold_campaign(p_campaign, v_reason, 'campaign', p_now);
  perform add_notice(jsonb_build_object('tenant', p_campaign.tenant_id, 'key',
    'campaign-' || p_campaign.id || '-' || v_reason || '-' || floor(extract(epoch from p_now)), 'kind', 'alert',
    'urgent', true, 'about', null, 'text', 'A campanha ' || p_campaign.name || ' parou sozinha: ' || case v_reason
      when 'opt_outs' then v_out || ' das últimas 50 pessoas pediram para sair.'
      else v_lost || ' das últimas 50 mensagens não chegaram.' end
      || ' Veja o porquê antes de retomar: npm run admin -- campaign resume ' || p_campaign.name), p_now);
  return v_reason;
end $function$;
revoke all on function public.judge_campaign(public.campaigns,timestamp with time zone) from public;
grant execute on function public.judge_campaign(public.campaigns,timestamp with time zone) to service_role;
grant execute on function public.judge_campaign(public.campaigns,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.judge_event(p_instance public.instances, p_conversation public.conversations, p_event jsonb, p_options jsonb, p_key text, p_sent_at timestamp with time zone, p_self bigint, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_from_me boolean := (p_event ->> 'fromMe')::boolean;
  v_typed text := p_event -> 'content' ->> 'typed';
  v_meaning jsonb := nullif(p_event -> 'meaning', 'null');
begin
  if v_meaning is not null then
    v_meaning := take_meaning(p_conversation, v_meaning, v_from_me, p_sent_at,
      comes_from_manager(p_instance, p_event, p_options), p_event -> 'from', p_now);
  end if;
  if v_meaning is not null or not v_from_me or p_event ->> 'kind' = 'reaction' then
    return jsonb_build_object('meaning', v_meaning);
  end if;
  return judge_message(p_conversation, v_typed, p_key, p_sent_at,
    v_typed is not null or p_event -> 'content' ->> 'type' <> 'unsupported',
    p_event ? 'program' or ((p_event ->> 'viaApi')::boolean
      and not coalesce((p_options ->> 'takeoverFromApi')::boolean, false)), p_self, null, p_now);
end $function$;
revoke all on function public.judge_event(public.instances,public.conversations,jsonb,jsonb,text,timestamp with time zone,bigint,timestamp with time zone) from public;
grant execute on function public.judge_event(public.instances,public.conversations,jsonb,jsonb,text,timestamp with time zone,bigint,timestamp with time zone) to service_role;
grant execute on function public.judge_event(public.instances,public.conversations,jsonb,jsonb,text,timestamp with time zone,bigint,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.judge_message(p_conversation public.conversations, p_text text, p_key text, p_at timestamp with time zone, p_words boolean, p_program boolean, p_self bigint, p_attended boolean, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_facts jsonb := own_facts(p_conversation, p_text, p_key, p_at, p_self, p_now)
  || jsonb_build_object('words', p_words, 'program', p_program);
begin
  if p_attended is not null then v_facts := v_facts || jsonb_build_object('attended', p_attended); end if;
  return jsonb_build_object('verdict', judge_own(v_facts), 'meaning', case when p_key is not null then
    jsonb_build_object('own_words', p_key, 'waited', v_facts -> 'waited', 'since', v_facts -> 'since', 'mid',
      v_facts -> 'mid', 'after_send', v_facts -> 'after_send') end);
end $function$;
revoke all on function public.judge_message(public.conversations,text,text,timestamp with time zone,boolean,boolean,bigint,boolean,timestamp with time zone) from public;
grant execute on function public.judge_message(public.conversations,text,text,timestamp with time zone,boolean,boolean,bigint,boolean,timestamp with time zone) to service_role;
grant execute on function public.judge_message(public.conversations,text,text,timestamp with time zone,boolean,boolean,bigint,boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.judge_own(p_facts jsonb)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_waited int := (p_facts ->> 'waited')::int;
  v_mid boolean := coalesce((p_facts ->> 'mid')::boolean, false);
  v_begins boolean := v_waited is not null and not v_mid;
  v_chats int := coalesce((p_facts ->> 'chats')::int, 0);
  -- Nobody types 12 characters a second. Whoever had begun before has had some seconds more, and WhatsApp's clock tells
  -- no fractions.
  v_typing_seconds numeric := (p_facts ->> 'chars')::numeric / 12 - 3;
begin
  return case
    when not (p_facts ->> 'words')::boolean then 'no_words'
    when (p_facts ->> 'program')::boolean then 'program'
    when (p_facts ->> 'known')::boolean then 'greeting'
    when (p_facts ->> 'since')::int <= 5 and (p_facts ->> 'prompt')::int >= 1 then 'greeting'
    when v_begins and v_waited <= 15 and (p_facts ->> 'steady')::int >= 2 then 'greeting'
    when (p_facts ->> 'after_send')::int <= 5 and (p_facts ->> 'sent_prompt')::int >= 2 then 'greeting'
    when (p_facts ->> 'near')::int >= 2 then 'broadcast'
    when v_chats >= 2 and (p_facts ->> 'unasked')::int * 2 > v_chats then 'broadcast'
    when v_begins and not (p_facts ->> 'attended')::boolean and v_waited < v_typing_seconds then 'greeting'
    else 'person' end;
end $function$;
revoke all on function public.judge_own(jsonb) from public;
grant execute on function public.judge_own(jsonb) to service_role;
grant execute on function public.judge_own(jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.judge_pair(p_facts jsonb)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_pn bigint := (p_facts ->> 'pn')::bigint;
  v_lid bigint := (p_facts ->> 'lid')::bigint;
  v_other_lid boolean := coalesce((p_facts ->> 'other_lid')::boolean, false);
  v_other_pn boolean := coalesce((p_facts ->> 'other_pn')::boolean, false);
  v_parted boolean := coalesce((p_facts ->> 'parted')::boolean, false);
  v_old boolean := coalesce((p_facts ->> 'old')::boolean, false);
  v_pn_elsewhere boolean := coalesce((p_facts ->> 'pn_elsewhere')::boolean, false);
begin
  return case
    when v_pn = v_lid then 'same'
    when v_pn is null and v_lid is null then 'create'
    when v_lid is null then case when not v_other_lid then 'learn' when v_old or v_pn_elsewhere then 'lid_only'
      else 'new_account' end
    when (p_facts ->> 'lid_elsewhere')::boolean then 'lid_only'
    when v_pn is null then case when v_other_pn then 'new_phone' else 'learn' end
    when not v_other_lid and not v_other_pn and not v_parted then 'merge'
    when v_old or v_pn_elsewhere then 'lid_only'
    else 'moved' end;
end $function$;
revoke all on function public.judge_pair(jsonb) from public;
grant execute on function public.judge_pair(jsonb) to service_role;
grant execute on function public.judge_pair(jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.judged_sends(p_instance public.instances, p_now timestamp with time zone)
 RETURNS TABLE(slot_at timestamp with time zone, delivered boolean, refused boolean, proactive boolean)
 LANGUAGE sql
 STABLE
AS $function$
  -- two halves, each on its index
  with newest as (
    (select s.slot_at, m.delivered_at, m.error_class, true as proactive from slots s
      join messages m on m.id = s.message_id
      where s.instance_id = p_instance.id and s.slot_at > greatest(p_now - interval '1 day', p_instance.judged_from)
        and s.slot_at <= p_now - interval '10 minutes'
        and not s.reply and m.type <> 'reaction' and (m.status in ('sent', 'delivered', 'read')
          or m.error_class = 'provider_refused')
      order by m.slot_at desc limit 50)
    union all
    (select s.slot_at, m.delivered_at, m.error_class, false from slots s join messages m on m.id = s.message_id
      where s.instance_id = p_instance.id and s.slot_at > greatest(p_now - interval '1 day', p_instance.judged_from)
        and s.slot_at <= p_now - interval '10 minutes'
        and s.reply and m.type <> 'reaction' and (m.status in ('sent', 'delivered', 'read')
          or m.error_class = 'provider_refused')
      order by m.slot_at desc limit 50))
  select n.slot_at, n.delivered_at is not null, n.error_class is not distinct from 'provider_refused', n.proactive
    from newest n order by n.slot_at desc limit 50
$function$;
revoke all on function public.judged_sends(public.instances,timestamp with time zone) from public;
grant execute on function public.judged_sends(public.instances,timestamp with time zone) to service_role;
grant execute on function public.judged_sends(public.instances,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.keep_events(p_tenant text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if exists (select from event_feeds where tenant_id = p_tenant and kept) then return; end if;
  -- what happened meanwhile is not there: who has read before is told so, by a cursor that is no more
  insert into event_feeds (tenant_id, read_at) values (p_tenant, clock_timestamp())
    on conflict (tenant_id) do update set kept = true, numbered = event_feeds.numbered + 1,
      gone = event_feeds.numbered + 1, read_at = clock_timestamp() where not event_feeds.kept;
end $function$;
revoke all on function public.keep_events(text) from public;
grant execute on function public.keep_events(text) to service_role;
grant execute on function public.keep_events(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.keep_inbox()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  -- of an insert all of old is null, of a delete all of new
  if old.status = 'received' and (new.status is distinct from 'received' or new.conversation_id <> old.conversation_id
    or new.seq <> old.seq) then
    delete from inbox where conversation_id = old.conversation_id and seq = old.seq;
  end if;
  if new.status = 'received' then
    insert into inbox (tenant_id, conversation_id, seq, message_id, created_at, command)
      values (new.tenant_id, new.conversation_id, new.seq, new.id, new.created_at,
        coalesce(new.meaning ? 'command', false))
      on conflict (conversation_id, seq) do update set message_id = excluded.message_id,
        created_at = excluded.created_at, command = excluded.command;
  end if;
  return null;
end $function$;
revoke all on function public.keep_inbox() from public;
grant execute on function public.keep_inbox() to service_role;
grant execute on function public.keep_inbox() to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.keep_sends()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  -- of an insert all of old is null, of a delete all of new
  v_had boolean := coalesce(old.slot_at is not null and old.kind is not null
    and old.status not in ('sending', 'uncertain'), false);
  v_has boolean := coalesce(new.slot_at is not null and new.kind is not null
    and new.status not in ('sending', 'uncertain'), false);
  v_same boolean := v_had and v_has and (old.instance_id, old.slot_at, old.kind, old.first_contact)
    = (new.instance_id, new.slot_at, new.kind, new.first_contact);
begin
  if old.status = 'queued' and new.status is distinct from 'queued' then
    delete from outbox where message_id = old.id;
  elsif old.status in ('sending', 'uncertain') and (new.status in ('sending', 'uncertain')) is not true then
    delete from on_wire where message_id = old.id;
  elsif old.status in ('failed', 'unproven') and (new.status in ('failed', 'unproven')) is not true then
    delete from dead_sends where message_id = old.id;
  elsif old.status = 'draft' and new.status is distinct from 'draft' then
    delete from drafts where message_id = old.id;
  end if;
  if new.status = 'queued' then
    if old.status = 'queued' then
      update outbox set conversation_id = new.conversation_id, instance_id = new.instance_id, priority = new.priority,
        kind = new.kind, due_at = new.due_at, urgent_at = case when is_proactive(new.kind)
          and new.priority between 1 and 3 then new.due_at end,
        reason = new.reason, expires_at = new.expires_at, campaign_id = new.campaign_id where message_id = new.id;
    else
      insert into outbox (message_id, tenant_id, conversation_id, instance_id, priority, kind, due_at, urgent_at,
        reason, expires_at, campaign_id)
        values (new.id, new.tenant_id, new.conversation_id, new.instance_id, new.priority, new.kind, new.due_at,
          case when is_proactive(new.kind) and new.priority between 1 and 3 then new.due_at end, new.reason,
          new.expires_at, new.campaign_id);
    end if;
  elsif new.status in ('sending', 'uncertain') then
    if old.status in ('sending', 'uncertain') then
      update on_wire set conversation_id = new.conversation_id, instance_id = new.instance_id, kind = new.kind,
        status = new.status, lease_until = new.lease_until, due_at = new.due_at, claimed_at = new.claimed_at,
        slot_at = new.slot_at, first_contact = new.first_contact, campaign_id = new.campaign_id
        where message_id = new.id;
    else
      insert into on_wire (message_id, tenant_id, conversation_id, instance_id, kind, status, lease_until, due_at,
        claimed_at, slot_at, first_contact, campaign_id)
        values (new.id, new.tenant_id, new.conversation_id, new.instance_id, new.kind, new.status, new.lease_until,
          new.due_at, new.claimed_at, new.slot_at, new.first_contact, new.campaign_id);
    end if;
  elsif new.status in ('failed', 'unproven') then
    insert into dead_sends (message_id, tenant_id, conversation_id, instance_id, status, error_class, created_at)
      values (new.id, new.tenant_id, new.conversation_id, new.instance_id, new.status, new.error_class, new.created_at)
      on conflict (message_id) do update set conversation_id = excluded.conversation_id,
        instance_id = excluded.instance_id, status = excluded.status, error_class = excluded.error_class,
        created_at = excluded.created_at;
  elsif new.status = 'draft' then
    insert into drafts (message_id, tenant_id, conversation_id, turn_id)
      values (new.id, new.tenant_id, new.conversation_id, new.turn_id)
      on conflict (message_id) do update set conversation_id = excluded.conversation_id, turn_id = excluded.turn_id;
  end if;
  if v_same then
    update slots set conversation_id = new.conversation_id where conversation_id <> new.conversation_id
      and instance_id = new.instance_id and reply = not is_proactive(new.kind) and slot_at = new.slot_at
      and message_id = new.id;
    return null;
  end if;
  if tg_op = 'DELETE' and old.kind is not null and old.slot_at > clock(null) - interval '3 days' then
    if not v_had then   -- nobody knows whether it has left
      insert into slots (tenant_id, instance_id, reply, slot_at, message_id, conversation_id, kind, first_contact)
        values (old.tenant_id, old.instance_id, not is_proactive(old.kind), old.slot_at, old.id, old.conversation_id,
          old.kind, old.first_contact);
      perform count_slot(old, 1);
    end if;
    return null;
  end if;
  if v_had then
    delete from slots where instance_id = old.instance_id and reply = not is_proactive(old.kind)
      and slot_at = old.slot_at and message_id = old.id;
    if found then perform count_slot(old, -1); end if;
  end if;
  if v_has then
    insert into slots (tenant_id, instance_id, reply, slot_at, message_id, conversation_id, kind, first_contact)
      values (new.tenant_id, new.instance_id, not is_proactive(new.kind), new.slot_at, new.id, new.conversation_id,
        new.kind, new.first_contact);
    perform count_slot(new, 1);
  end if;
  return null;
end $function$;
revoke all on function public.keep_sends() from public;
grant execute on function public.keep_sends() to service_role;
grant execute on function public.keep_sends() to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.keep_suppression(p_contacts bigint[])
 RETURNS void
 LANGUAGE sql
AS $function$
  insert into opt_outs (tenant_id, address_hash, source, said_on, created_at)
    select o.tenant_id, address_hash(a.kind, a.instance_id, a.address), o.source, o.said_on, o.created_at
    from opt_outs o join contact_addresses a on a.contact_id = any (p_contacts)
      where o.contact_id = any (p_contacts) and o.revoked_at is null
    on conflict do nothing
$function$;
revoke all on function public.keep_suppression(bigint[]) from public;
grant execute on function public.keep_suppression(bigint[]) to service_role;
grant execute on function public.keep_suppression(bigint[]) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.keep_versions()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_free text[] := array['active', 'hours', 'published_at', 'replaced'];
begin
  if tg_op = 'UPDATE' and to_jsonb(new) - v_free is distinct from to_jsonb(old) - v_free then
    raise exception 'version % of the agent % never changes: save another one', old.version, old.slug
      using errcode = 'restrict_violation';
  end if;
  if tg_op = 'INSERT' then
    perform from agents where tenant_id = new.tenant_id and slug = new.slug for no key update;
    new.version := coalesce(new.version, (select coalesce(max(version), 0) + 1 from agents
      where tenant_id = new.tenant_id and slug = new.slug));
  end if;
  if new.active and (tg_op = 'INSERT' or not old.active) then
    new.published_at := clock_timestamp();
    new.replaced := null;
    update agents set active = false where tenant_id = new.tenant_id and slug = new.slug and active
      returning id into new.replaced;
  end if;
  return new;
end $function$;
revoke all on function public.keep_versions() from public;
grant execute on function public.keep_versions() to service_role;
grant execute on function public.keep_versions() to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.keyed_hash(p_text text)
 RETURNS text
 LANGUAGE sql
 STABLE
AS $function$
  select encode(sha256(convert_to(s.value || encode(sha256(convert_to(s.value || '/' || p_text, 'UTF8')), 'hex'),
    'UTF8')), 'hex')
  from installation s where s.key = 'suppression_salt'
$function$;
revoke all on function public.keyed_hash(text) from public;
grant execute on function public.keyed_hash(text) to service_role;
grant execute on function public.keyed_hash(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.know_by_traces(p_tenant text, p_phone text)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_words text[]; v_id bigint;
begin
  select array_agg('%' || w || '%') into v_words from unnest(both_writings(p_phone)) w;
  if not exists (select from webhooks_of(p_tenant) w where w.body::text like any (v_words)) and not exists (select
    from early_updates e where e.tenant_id = p_tenant and e.event::text like any (v_words)) and not exists (select
    from order_notices n where n.tenant_id = p_tenant and n.phone = p_phone) then return false; end if;
  insert into contacts (tenant_id) values (p_tenant) returning id into v_id;
  insert into contact_addresses (tenant_id, instance_id, contact_id, kind, address)
    select p_tenant, min(i.id), v_id, 'pn', p_phone from instances i where i.tenant_id = p_tenant having count(*) > 0
      on conflict do nothing;
  if not found then delete from contacts where id = v_id; end if;
  return exists (select from contact_addresses where tenant_id = p_tenant and kind = 'pn' and address = p_phone);
end $function$;
revoke all on function public.know_by_traces(text,text) from public;
grant execute on function public.know_by_traces(text,text) to service_role;
grant execute on function public.know_by_traces(text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.knowledge_index(p_tenant text, p_known integer)
 RETURNS json
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_revision int;
begin
  select knowledge_revision into v_revision from tenants where id = p_tenant;
  if v_revision = p_known then return null; end if;
  return json_build_object('revision', v_revision,
    'passages', (select coalesce(json_agg(json_build_object('id', c.id, 'stems', (
        select coalesce(string_agg(u.lexeme || case when 'A' = any (u.weights) then '*' else '' end, ' '), '')
          from unnest(c.search) u)) order by c.id), '[]') from knowledge_chunks c where c.tenant_id = p_tenant),
    'words', (select coalesce(json_agg(distinct u.word), '[]') from knowledge_chunks c, unnest(c.words) u (word)
      where c.tenant_id = p_tenant));
end $function$;
revoke all on function public.knowledge_index(text,integer) from public;
grant execute on function public.knowledge_index(text,integer) to service_role;
grant execute on function public.knowledge_index(text,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.knowledge_of(p_tenant text, p_known integer, p_whole integer)
 RETURNS json
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_revision int; v_chars int;
begin
  select knowledge_revision into v_revision from tenants where id = p_tenant;
  if v_revision = p_known then return null; end if;
  select coalesce(sum(chars), 0) into v_chars from knowledge where tenant_id = p_tenant;
  return json_build_object('revision', v_revision, 'chars', v_chars, 'documents', case when v_chars <= p_whole then (
    select coalesce(json_agg(json_build_object('name', k.name, 'passages', (
        select json_agg(json_build_object('heading', c.heading, 'text', c.text) order by c.position)
          from knowledge_chunks c where c.knowledge_id = k.id)) order by k.name), '[]')
      from knowledge k where k.tenant_id = p_tenant) end);
end $function$;
revoke all on function public.knowledge_of(text,integer,integer) from public;
grant execute on function public.knowledge_of(text,integer,integer) to service_role;
grant execute on function public.knowledge_of(text,integer,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.knowledge_passages(p_tenant text, p_name text)
 RETURNS json
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(json_agg(json_build_object('id', c.id, 'heading', c.heading, 'text', c.text) order by c.position),
    '[]')
    from knowledge k join knowledge_chunks c on c.knowledge_id = k.id where k.tenant_id = p_tenant and k.name = p_name
$function$;
revoke all on function public.knowledge_passages(text,text) from public;
grant execute on function public.knowledge_passages(text,text) to service_role;
grant execute on function public.knowledge_passages(text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.knowledge_vectors(p_tenant text, p_model text, p_known integer)
 RETURNS json
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_revision int;
begin
  select knowledge_revision into v_revision from tenants where id = p_tenant;
  if v_revision = p_known then return null; end if;
  return (select json_build_object('revision', v_revision, 'missing', count(*) filter (where e.sha256 is null),
      'vectors', coalesce(json_agg(json_build_object('id', c.id, 'vector',
        replace(encode(e.vector, 'base64'), E'\n', '')) order by c.id) filter (where e.sha256 is not null), '[]'))
    from knowledge_chunks c left join embeddings e on e.tenant_id = c.tenant_id and e.model = p_model
      and e.sha256 = c.sha256
    where c.tenant_id = p_tenant);
end $function$;
revoke all on function public.knowledge_vectors(text,text,integer) from public;
grant execute on function public.knowledge_vectors(text,text,integer) to service_role;
grant execute on function public.knowledge_vectors(text,text,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.known_documents(p_tenant text, p_folder text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('id', o.id, 'external_id', o.external_id, 'name', o.name,
    'modified_at', o.modified_at, 'hash', o.hash, 'status', o.status,
    'sentences', (select coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'sentence', d.sentence, 'status', d.status)
        order by d.id), '[]') from directives d where d.document_id = o.id
        and d.status in ('proposed', 'active', 'rejected'))) order by o.id), '[]')
  from documents o where o.tenant_id = p_tenant and o.folder = p_folder
$function$;
revoke all on function public.known_documents(text,text) from public;
grant execute on function public.known_documents(text,text) to service_role;
grant execute on function public.known_documents(text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.known_elsewhere(p_contact bigint, p_instance_id bigint)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select exists (select from contact_addresses where contact_id = p_contact and instance_id <> p_instance_id)
    or exists (select from conversations where contact_id = p_contact and instance_id <> p_instance_id)
$function$;
revoke all on function public.known_elsewhere(bigint,bigint) from public;
grant execute on function public.known_elsewhere(bigint,bigint) to service_role;
grant execute on function public.known_elsewhere(bigint,bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.known_message(p_instance_id bigint, p_provider_id text, p_chat jsonb, p_alt jsonb, p_own boolean)
 RETURNS public.messages
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_message messages;
begin
  -- nearly always there is none, and that is cheap to see
  perform 1 from messages where instance_id = p_instance_id and provider_id = p_provider_id;
  if not found then return null; end if;
  select m.* into v_message from messages m join conversations c on c.id = m.conversation_id,
      lateral (select case when p_own and m.author in ('agent', 'system') then 2
        else fits_chat(p_instance_id, c.contact_id, p_chat, p_alt) end as fits) f
    where m.instance_id = p_instance_id and m.provider_id = p_provider_id and f.fits > 0
      order by f.fits desc, (m.direction = 'out') = p_own desc, m.id limit 1;
  return v_message;
end $function$;
revoke all on function public.known_message(bigint,text,jsonb,jsonb,boolean) from public;
grant execute on function public.known_message(bigint,text,jsonb,jsonb,boolean) to service_role;
grant execute on function public.known_message(bigint,text,jsonb,jsonb,boolean) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.known_messages(p_instance text, p_events jsonb)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(e.n - 1), '[]')
    from instances i, jsonb_array_elements(p_events) with ordinality e (event, n),
    lateral known_message(i.id, e.event ->> 'providerId', e.event -> 'chat', nullif(e.event -> 'alt', 'null'),
      (e.event ->> 'fromMe')::boolean) m
  where i.name = p_instance and case when m.id is null then exists (select from erasures x
    where x.tenant_id = i.tenant_id and x.hash = message_hash(i.id, e.event ->> 'providerId'))
      or exists (select from forged_messages f
        where f.instance_id = i.id and f.hash = message_hash(i.id, e.event ->> 'providerId') and f.found_at is not null)
    else coalesce((e.event -> 'content' ->> 'wordless')::boolean, false)
      or not lacks_words(m, (e.event ->> 'fromMe')::boolean) end
$function$;
revoke all on function public.known_messages(text,jsonb) from public;
grant execute on function public.known_messages(text,jsonb) to service_role;
grant execute on function public.known_messages(text,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.known_provider_ids(p_instance text, p_ids jsonb, p_conversation bigint)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(p.id), '[]') from instances i, jsonb_array_elements_text(p_ids) p (id)
  where i.name = p_instance and (exists (select from messages m where m.instance_id = i.id and m.provider_id = p.id
    and (m.conversation_id = p_conversation or m.author in ('agent', 'system')))
    or exists (select from forged_messages f where f.instance_id = i.id and f.hash = message_hash(i.id, p.id)))
$function$;
revoke all on function public.known_provider_ids(text,jsonb,bigint) from public;
grant execute on function public.known_provider_ids(text,jsonb,bigint) to service_role;
grant execute on function public.known_provider_ids(text,jsonb,bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.lacks_words(p_message public.messages, p_from_me boolean)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$ select p_message.wordless and (p_message.direction = 'out') = p_from_me
  and (p_message.deleted_at is null or p_message.reason = 'deleted_or_edited') $function$;
revoke all on function public.lacks_words(public.messages,boolean) from public;
grant execute on function public.lacks_words(public.messages,boolean) to service_role;
grant execute on function public.lacks_words(public.messages,boolean) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.last_campaign(p_contact bigint)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  return greatest((select max(s.slot_at) from conversations c join slots s on s.conversation_id = c.id
      where c.contact_id = p_contact and not s.reply and is_campaign(s.kind)),
    (select max(w.slot_at) from conversations c join on_wire w on w.conversation_id = c.id
      where c.contact_id = p_contact and is_campaign(w.kind)));
end $function$;
revoke all on function public.last_campaign(bigint) from public;
grant execute on function public.last_campaign(bigint) to service_role;
grant execute on function public.last_campaign(bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.last_heard(p_instance public.instances, p_now timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE
AS $function$
  select greatest((select max(m.created_at) from messages m where m.created_at > p_now - interval '1 day'
    and m.instance_id = p_instance.id and m.direction = 'in'),
    (select max(m.delivered_at) from messages m where m.created_at > p_now - interval '1 day'
      and m.instance_id = p_instance.id and m.direction = 'out'))
$function$;
revoke all on function public.last_heard(public.instances,timestamp with time zone) from public;
grant execute on function public.last_heard(public.instances,timestamp with time zone) to service_role;
grant execute on function public.last_heard(public.instances,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.last_ticks(p_jobs jsonb, p_at timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  insert into job_runs (job, tick, worker, status, started_at, ended_at, ms, count, error)
    select j, p_at, 'scheduler', 'skipped', p_at, p_at, 0, 0, 'first seen' from jsonb_array_elements_text(p_jobs) j
    where not exists (select from job_runs r where r.job = j) on conflict (job, tick) do nothing;
  return (select coalesce(jsonb_object_agg(j, (select max(r.tick) from job_runs r where r.job = j)), '{}')
    from jsonb_array_elements_text(p_jobs) j);
end $function$;
revoke all on function public.last_ticks(jsonb,timestamp with time zone) from public;
grant execute on function public.last_ticks(jsonb,timestamp with time zone) to service_role;
grant execute on function public.last_ticks(jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.leads_to(p_contact bigint, p_instance_id bigint, p_jid text, p_phone text)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select case when p_jid like '%@lid' then exists (select from contact_addresses where kind = 'lid'
      and instance_id = p_instance_id and address = split_part(p_jid, '@', 1) and contact_id = p_contact
      and vouched_phone = p_phone)
    else one_writing(split_part(p_jid, '@', 1)) = one_writing(p_phone) end
$function$;
revoke all on function public.leads_to(bigint,bigint,text,text) from public;
grant execute on function public.leads_to(bigint,bigint,text,text) to service_role;
grant execute on function public.leads_to(bigint,bigint,text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.learn_uuid(p_instance public.instances, p_provider_id text)
 RETURNS void
 LANGUAGE sql
AS $function$
  update instances set provider_id = p_provider_id
    where id = p_instance.id and p_provider_id is distinct from provider_id
    and not exists (select from instances o where o.provider_id = p_provider_id)
$function$;
revoke all on function public.learn_uuid(public.instances,text) from public;
grant execute on function public.learn_uuid(public.instances,text) to service_role;
grant execute on function public.learn_uuid(public.instances,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_agents()
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(to_jsonb(a) order by a.tenant_id, a.slug), '[]') from agents a where a.active
$function$;
revoke all on function public.list_agents() from public;
grant execute on function public.list_agents() to service_role;
grant execute on function public.list_agents() to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_alerts(p_hours integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('key', key, 'name', name, 'subject', subject, 'urgent', urgent, 'text',
    text, 'status', status, 'since', since, 'told_at', told_at)
    order by status = 'ok', urgent desc, since desc), '[]')
  from alerts where status <> 'ok' or told_at > clock(p_now) - make_interval(hours => p_hours)
$function$;
revoke all on function public.list_alerts(integer,timestamp with time zone) from public;
grant execute on function public.list_alerts(integer,timestamp with time zone) to service_role;
grant execute on function public.list_alerts(integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_approvals(p_tenant text, p_limit integer, p_id bigint DEFAULT NULL::bigint)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(to_jsonb(l) order by l.id), '[]') from (
    select a.id, a.status, w.definition ->> 'name' as tool, w.definition ->> 'class' as class, a.conversation_id,
      i.name as instance, k.name as contact, w.input, w.request, w.amount, w.risks, a.created_at, a.expires_at,
      a.decided_at, a.decided_by, a.reason, w.status as write_status, w.reason as write_reason,
      (select string_agg(q.text, E'\n' order by q.seq) from messages q
        where q.turn_id = w.turn_id and q.direction = 'in') as asked
    from approvals a join tool_writes w on w.id = a.write_id join conversations c on c.id = a.conversation_id
      join instances i on i.id = c.instance_id join contacts k on k.id = c.contact_id
    where a.tenant_id = p_tenant and case when p_id is null then a.status = 'waiting' else a.id = p_id end
    order by a.id limit p_limit) l
$function$;
revoke all on function public.list_approvals(text,integer,bigint) from public;
grant execute on function public.list_approvals(text,integer,bigint) to service_role;
grant execute on function public.list_approvals(text,integer,bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_aside(p_limit integer)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(to_jsonb(l) order by l.last_at desc, l.id), '[]') from (
    select a.id, a.tenant_id as tenant, a.name, a.provider_id, a.reason, a.webhooks, a.first_at, a.last_at,
      a.forgotten_at, (select count(*) from webhook_events w where w.aside_id = a.id) as kept,
      (select i.name from instances i where i.provider_id = a.provider_id) as same_as
    from set_aside a order by a.last_at desc, a.id limit p_limit) l
$function$;
revoke all on function public.list_aside(integer) from public;
grant execute on function public.list_aside(integer) to service_role;
grant execute on function public.list_aside(integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_audit(p_tenant text, p_limit integer, p_before bigint DEFAULT NULL::bigint)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(to_jsonb(a) order by a.id desc), '[]') from (
    select id, created_at as at, actor, action, subject, details from audit_log
    where tenant_id = p_tenant and (p_before is null or id < p_before) order by id desc limit p_limit) a
$function$;
revoke all on function public.list_audit(text,integer,bigint) from public;
grant execute on function public.list_audit(text,integer,bigint) to service_role;
grant execute on function public.list_audit(text,integer,bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_campaigns(p_tenant text, p_limit integer)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(campaign_row(c) || jsonb_build_object('outcomes', campaign_outcomes(c.id))
    order by c.id desc), '[]')
    from (select * from campaigns where tenant_id = p_tenant order by id desc limit p_limit) c
$function$;
revoke all on function public.list_campaigns(text,integer) from public;
grant execute on function public.list_campaigns(text,integer) to service_role;
grant execute on function public.list_campaigns(text,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_conversations(p_tenant text, p_tab text, p_before bigint, p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v_needs bigint[]; v_ids bigint[];
  v_next bigint; v_recent jsonb;
begin
  v_needs := case p_tab when 'needs' then needs_people(p_tenant, v_now) else with_people(p_tenant, v_now) end;
  if p_tab = 'needs' then v_ids := v_needs[1:p_limit];
  elsif p_tab = 'paused' then
    v_ids := array(select c.id from (select distinct on (target) target, status, id from julia_status
        where scope = 'conversation' order by target, id desc) s join conversations c on c.id::text = s.target
      where s.status = 'pausado' and c.tenant_id = p_tenant and c.merged_into is null
      union select c.id from conversations c where c.tenant_id = p_tenant and (c.controlled_by = 'human'
        or c.mode <> 'auto' or c.takeover_until is not null or c.quiet_until is not null) and c.quiet_until > v_now
      order by 1 desc limit p_limit);
  else
    v_recent := recent_conversations(p_tenant, case p_tab when 'agent' then 'agent' end, p_before, p_limit, v_now);
    v_ids := array(select jsonb_array_elements_text(v_recent -> 'ids')::bigint);
    v_next := (v_recent ->> 'next')::bigint;
  end if;
  return jsonb_build_object('rows', conversation_rows(v_ids, v_now), 'next', v_next, 'needs', cardinality(v_needs));
end $function$;
revoke all on function public.list_conversations(text,text,bigint,integer,timestamp with time zone) from public;
grant execute on function public.list_conversations(text,text,bigint,integer,timestamp with time zone) to service_role;
grant execute on function public.list_conversations(text,text,bigint,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_directives(p_tenant text, p_all boolean, p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(row order by rank, id desc), '[]') from (
    select d.id, d.rank, jsonb_build_object('id', d.id, 'scope', d.scope, 'target', d.target, 'text', d.text,
      'status', d.shown, 'document', (select o.name from documents o where o.id = d.document_id),
      'sentence', d.sentence, 'before', (select b.text from directives b where b.id = d.replaces),
      'ends_at', d.ends_at, 'created_by', d.created_by, 'created_at', d.created_at, 'decided_by', d.decided_by) as row
    from (select x.*, s.shown, case s.shown when 'proposed' then 0 when 'active' then 1 else 2 end as rank
        from directives x cross join lateral (select case when x.status in ('proposed', 'active')
          and x.ends_at <= clock(p_now) then 'over' else x.status end as shown) s where x.tenant_id = p_tenant) d
    where p_all or d.rank < 2 order by d.rank, d.id desc limit p_limit) s
$function$;
revoke all on function public.list_directives(text,boolean,integer,timestamp with time zone) from public;
grant execute on function public.list_directives(text,boolean,integer,timestamp with time zone) to service_role;
grant execute on function public.list_directives(text,boolean,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_drafts(p_tenant text, p_limit integer, p_draft bigint DEFAULT NULL::bigint)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(to_jsonb(d) order by d.id), '[]') from (
    select m.turn_id as id, m.conversation_id, i.name as instance, k.name as contact, min(m.created_at) as created_at,
      (select string_agg(q.text, E'\n' order by q.seq) from messages q
        where q.turn_id = m.turn_id and q.direction = 'in') as asked,
      string_agg(m.text, E'\n\n' order by m.part) as text
    from drafts f join messages m on m.id = f.message_id join conversations c on c.id = m.conversation_id
      join instances i on i.id = c.instance_id join contacts k on k.id = c.contact_id
    where f.tenant_id = p_tenant and m.turn_id = coalesce(p_draft, m.turn_id)
    group by m.turn_id, m.conversation_id, i.name, k.name order by m.turn_id limit p_limit) d
$function$;
revoke all on function public.list_drafts(text,integer,bigint) from public;
grant execute on function public.list_drafts(text,integer,bigint) to service_role;
grant execute on function public.list_drafts(text,integer,bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_erasures(p_since timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('tenant', tenant_id, 'kind', kind, 'hash', hash, 'erased_at', erased_at,
    'own_until', own_until) order by id), '[]')
  from erasures where erased_at >= coalesce(p_since, '-infinity')
$function$;
revoke all on function public.list_erasures(timestamp with time zone) from public;
grant execute on function public.list_erasures(timestamp with time zone) to service_role;
grant execute on function public.list_erasures(timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_follow_ups(p_tenant text, p_limit integer)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('ladder', (select jsonb_build_object('steps', l.steps, 'only_questions', l.only_questions,
      'enabled_at', l.enabled_at) from follow_up_ladders l where l.tenant_id = p_tenant),
    'follow_ups', (select coalesce(jsonb_agg(jsonb_build_object('id', f.id, 'conversation_id', f.conversation_id,
        'contact', c.name, 'step', f.step, 'due_at', f.due_at, 'status', f.status, 'reason', f.reason)
        order by f.status = 'active' desc, f.id desc), '[]')
      from (select * from follow_ups where tenant_id = p_tenant order by status = 'active' desc, id desc
        limit p_limit) f join conversations v on v.id = f.conversation_id join contacts c on c.id = v.contact_id))
$function$;
revoke all on function public.list_follow_ups(text,integer) from public;
grant execute on function public.list_follow_ups(text,integer) to service_role;
grant execute on function public.list_follow_ups(text,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_handoffs(p_tenant text, p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(to_jsonb(l) - 'since' order by l.since nulls first, l.conversation_id), '[]') from (
    select c.id as conversation_id, i.name as instance, k.name as contact, c.controlled_by, c.mode, c.escalation_reason,
      case when c.takeover_until > clock(p_now) then c.takeover_until end as takeover_until,
      case when c.quiet_until > clock(p_now) then c.quiet_until end as quiet_until, c.last_inbound_at,
      (select m.text from messages m where m.conversation_id = c.id and m.direction = 'in' order by m.seq desc
        limit 1) as last_text,
      (select min(h.created_at) from handoffs h where h.conversation_id = c.id and h.status <> 'returned') as since,
      (select coalesce(jsonb_agg(jsonb_build_object('id', h.id, 'reason', h.reason, 'summary', h.summary, 'controls',
        h.controls, 'status', h.status, 'created_at', h.created_at) order by h.id), '[]')
        from handoffs h where h.conversation_id = c.id and h.status <> 'returned') as handoffs
    from conversations c join instances i on i.id = c.instance_id join contacts k on k.id = c.contact_id
    where c.tenant_id = p_tenant and c.merged_into is null
      -- by narrow indexes: of those that the agent has, however many, none is looked at
      and c.id in (select h.conversation_id from handoffs h where h.status <> 'returned'
        union select p.id from conversations p where p.tenant_id = p_tenant and (p.controlled_by = 'human'
          or p.mode <> 'auto' or p.takeover_until is not null or p.quiet_until is not null))
      and (conversation_holder(c, clock(p_now)) in ('human', 'takeover') or waits_for_person(c)
      or exists (select 1 from handoffs h where h.conversation_id = c.id and h.status <> 'returned'))
    order by since nulls first, c.id limit p_limit) l
$function$;
revoke all on function public.list_handoffs(text,integer,timestamp with time zone) from public;
grant execute on function public.list_handoffs(text,integer,timestamp with time zone) to service_role;
grant execute on function public.list_handoffs(text,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_ignored(p_tenant text, p_reason text, p_instance text, p_limit integer)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object(
    'reasons', (select coalesce(jsonb_agg(to_jsonb(g) order by g.webhooks desc, g.reason), '[]') from (
      select r as reason, count(*) as webhooks, count(*) filter (where is_whole(w.body)) as whole,
        min(w.received_at) as first_at, max(w.received_at) as last_at
      from ignored_of(p_tenant, p_reason, p_instance) w, unnest(w.ignored) r where p_reason is null or r = p_reason
        group by 1) g),
    'entries', (select coalesce(jsonb_agg(to_jsonb(e) order by e.id desc), '[]') from (
      select w.id, coalesce(w.instance, w.body ->> 'instance') as instance, w.event, w.ignored as reasons,
        is_whole(w.body) as whole, w.received_at,
        jsonb_path_query_array(w.results,
          '$[*] ? (@.outcome == "ignored" || @.outcome == "early").provider_id ? (@ != null)') as messages
      from ignored_of(p_tenant, p_reason, p_instance) w order by w.id desc limit p_limit) e))
$function$;
revoke all on function public.list_ignored(text,text,text,integer) from public;
grant execute on function public.list_ignored(text,text,text,integer) to service_role;
grant execute on function public.list_ignored(text,text,text,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_instances()
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('name', name, 'status', status, 'phone_doubted', phone_doubted,
    'version_stale', coalesce(gateway_version_at < now() - interval '10 minutes', true), 'breaker',
      breaker_reason(name, null, now()), 'fault', gateway_fault) order by id), '[]') from instances
$function$;
revoke all on function public.list_instances() from public;
grant execute on function public.list_instances() to service_role;
grant execute on function public.list_instances() to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_knowledge(p_tenant text)
 RETURNS json
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(json_agg(json_build_object('id', k.id, 'name', k.name, 'kind', k.kind, 'pages', k.pages, 'bytes',
    k.bytes, 'chars', k.chars, 'passages', (select count(*) from knowledge_chunks c where c.knowledge_id = k.id),
    'sha256', k.sha256, 'added_by', k.added_by, 'created_at', k.created_at, 'updated_at', k.updated_at)
    order by k.name), '[]')
    from knowledge k where k.tenant_id = p_tenant
$function$;
revoke all on function public.list_knowledge(text) from public;
grant execute on function public.list_knowledge(text) to service_role;
grant execute on function public.list_knowledge(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_messages(p_tenant text, p_filter jsonb, p_limit integer)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(message_row(m) order by m.id desc), '[]') from (
    select * from messages x
    where x.tenant_id = p_tenant and is_proactive(x.kind) and x.kind <> 'operator'
      and x.id < coalesce((p_filter ->> 'before')::bigint, 9223372036854775807)
      and x.status = coalesce(p_filter ->> 'status', x.status) and x.kind = coalesce(p_filter ->> 'kind', x.kind)
      and (p_filter ->> 'campaign_id' is null or x.campaign_id = p_filter ->> 'campaign_id')
      and x.created_at >= coalesce((p_filter ->> 'since')::timestamptz, '-infinity')
      and (p_filter ->> 'instance' is null or x.instance_id = (select i.id from instances i
        where i.name = p_filter ->> 'instance'))
      and (p_filter ->> 'phone' is null or x.conversation_id in (select c.id from contact_addresses a
        join conversations c on c.contact_id = a.contact_id
        where a.tenant_id = p_tenant and a.kind = 'pn' and a.address = p_filter ->> 'phone'))
    order by x.id desc limit p_limit) m
$function$;
revoke all on function public.list_messages(text,jsonb,integer) from public;
grant execute on function public.list_messages(text,jsonb,integer) to service_role;
grant execute on function public.list_messages(text,jsonb,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_observed(p_tenant text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object(
    'scopes', (select coalesce(jsonb_agg(to_jsonb(o) - 'tenant_id' order by o.scope, o.target), '[]') from observed o
      where o.tenant_id = p_tenant),
    'conversations', (select coalesce(jsonb_agg(to_jsonb(l) order by l.id), '[]') from (
      select c.id, k.name, i.name as instance, c.observed_labels as labels, c.observed_summary as summary,
          c.observed_at from conversations c
        join contacts k on k.id = c.contact_id join instances i on i.id = c.instance_id
      where c.tenant_id = p_tenant and c.mode = 'observe' and c.merged_into is null order by c.id desc limit 500) l))
$function$;
revoke all on function public.list_observed(text) from public;
grant execute on function public.list_observed(text) to service_role;
grant execute on function public.list_observed(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_opt_outs(p_tenant text, p_limit integer)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(to_jsonb(l) order by l.id desc), '[]') from (
    select o.id, o.contact_id, c.name, (select a.address from contact_addresses a
      where a.contact_id = o.contact_id and a.kind = 'pn' limit 1) as phone, o.source, o.created_at
    from opt_outs o left join contacts c on c.id = o.contact_id where o.tenant_id = p_tenant and o.revoked_at is null
      order by o.id desc limit p_limit) l
$function$;
revoke all on function public.list_opt_outs(text,integer) from public;
grant execute on function public.list_opt_outs(text,integer) to service_role;
grant execute on function public.list_opt_outs(text,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_order_notices(p_tenant text, p_filter jsonb, p_limit integer)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(order_notice_row(n) order by n.id desc), '[]') from (
    select x.* from order_notices x left join messages m on m.id = x.message_id
    where x.tenant_id = p_tenant and x.id < coalesce((p_filter ->> 'before')::bigint, 9223372036854775807)
      and x.type = coalesce(p_filter ->> 'type', x.type)
      and x.reference = coalesce(p_filter ->> 'reference', x.reference)
      and x.phone = coalesce(p_filter ->> 'phone', x.phone)
      and x.created_at >= coalesce((p_filter ->> 'since')::timestamptz, '-infinity')
      and (p_filter ->> 'status' is null or notice_status(x.outcome, m.status) = p_filter ->> 'status')
    order by x.id desc limit p_limit) n
$function$;
revoke all on function public.list_order_notices(text,jsonb,integer) from public;
grant execute on function public.list_order_notices(text,jsonb,integer) to service_role;
grant execute on function public.list_order_notices(text,jsonb,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_queue(p_tenant text, p_limit integer)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('total', (select count(*) from outbox where tenant_id = p_tenant and kind <> 'operator'),
    'rows', (select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'conversation_id', m.conversation_id, 'name',
        k.name, 'instance', i.name, 'kind', m.kind, 'text', left(m.text, 160), 'reason', m.reason, 'goes_at',
        promised_at(m)) order by o.due_at nulls last, o.message_id), '[]')
      from (select * from outbox where tenant_id = p_tenant and kind <> 'operator' order by due_at nulls last,
        message_id limit p_limit) o
      join messages m on m.id = o.message_id join conversations c on c.id = m.conversation_id
      join contacts k on k.id = c.contact_id join instances i on i.id = m.instance_id))
$function$;
revoke all on function public.list_queue(text,integer) from public;
grant execute on function public.list_queue(text,integer) to service_role;
grant execute on function public.list_queue(text,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_reminders(p_tenant text, p_all boolean, p_limit integer)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(row order by n), '[]') from (
    select row_number() over (order by r.status = 'waiting' desc, case when r.status = 'waiting' then r.due_at end,
        r.id desc) as n,
      jsonb_build_object('id', r.id, 'conversation_id', r.conversation_id, 'contact', c.name, 'about', r.about,
        'words', r.words, 'due_at', r.due_at, 'event_at', r.event_at, 'status', r.status, 'reason', r.reason,
        'message', (select m.status from messages m where m.id = r.message_id)) as row
    from reminders r join conversations v on v.id = r.conversation_id join contacts c on c.id = v.contact_id
    where r.tenant_id = p_tenant and (p_all or r.status = 'waiting') order by 1 limit p_limit) s
$function$;
revoke all on function public.list_reminders(text,boolean,integer) from public;
grant execute on function public.list_reminders(text,boolean,integer) to service_role;
grant execute on function public.list_reminders(text,boolean,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_subscriptions(p_tenant text, p_id bigint)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(subscription_row(s) order by s.id), '[]') from subscriptions s
    where s.tenant_id = p_tenant and (p_id is null or s.id = p_id)
$function$;
revoke all on function public.list_subscriptions(text,bigint) from public;
grant execute on function public.list_subscriptions(text,bigint) to service_role;
grant execute on function public.list_subscriptions(text,bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_suspicions(p_tenant text, p_limit integer)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(to_jsonb(l) order by l.id desc), '[]') from (
    select b.id, b.conversation_id, k.name as contact, m.text, b.created_at, b.false_positive_at, b.marked_by
    from bot_suspicions b join conversations c on c.id = b.conversation_id join contacts k on k.id = c.contact_id
      join messages m on m.id = b.message_id
    where b.tenant_id = p_tenant order by b.id desc limit p_limit) l
$function$;
revoke all on function public.list_suspicions(text,integer) from public;
grant execute on function public.list_suspicions(text,integer) to service_role;
grant execute on function public.list_suspicions(text,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_tenants(p_slug text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('slug', t.id, 'name', t.name, 'settings', t.settings, 'created_at',
    t.created_at, 'numbers', (select count(*) from instances i where i.tenant_id = t.id), 'users', (select count(*)
    from users u where u.tenant_id = t.id and u.disabled_at is null)) order by t.id), '[]')
  from tenants t where p_slug is null or t.id = p_slug
$function$;
revoke all on function public.list_tenants(text) from public;
grant execute on function public.list_tenants(text) to service_role;
grant execute on function public.list_tenants(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_tokens(p_tenant text, p_all boolean, p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(to_jsonb(t) - 'tenant_id' order by t.created_at desc, t.id), '[]') from (
    select * from tokens where tenant_id = p_tenant and (p_all or (revoked_at is null and expires_at > clock(p_now)))
      order by created_at desc, id limit p_limit) t
$function$;
revoke all on function public.list_tokens(text,boolean,integer,timestamp with time zone) from public;
grant execute on function public.list_tokens(text,boolean,integer,timestamp with time zone) to service_role;
grant execute on function public.list_tokens(text,boolean,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_tools(p_tenant text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('name', t.name, 'class', t.class, 'definition', t.definition,
      'version', t.version, 'added_by', t.added_by, 'updated_at', t.updated_at,
      'calls', k.n, 'failed', k.failed, 'secret', case when t.definition ? 'secret' then exists (select
        from tenant_secrets s where s.tenant_id = p_tenant and s.name = t.definition -> 'secret' ->> 'name') end,
      'writes', (select coalesce(jsonb_object_agg(w.status, w.n), '{}') from (select status, count(*) as n
        from tool_writes where tool_id = t.id and created_at > clock(p_now) - interval '1 day' group by 1) w))
      order by t.name), '[]')
  from http_tools t cross join lateral (select count(*) as n, count(*) filter (where not c.ok) as failed
    from tool_calls c where c.tenant_id = p_tenant and c.name = t.name
      and c.created_at > clock(p_now) - interval '1 day') k
  where t.tenant_id = p_tenant and t.removed_at is null
$function$;
revoke all on function public.list_tools(text,timestamp with time zone) from public;
grant execute on function public.list_tools(text,timestamp with time zone) to service_role;
grant execute on function public.list_tools(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.list_users(p_tenant text, p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('email', u.email, 'role', u.role, 'created_at', u.created_at,
    'created_by', u.created_by, 'logged_in_at', u.logged_in_at,
    'locked_until', case when u.locked_until > clock(p_now) then u.locked_until end,
    'disabled_at', u.disabled_at, 'disabled_by', u.disabled_by,
    'must_change', (select p.temporary from user_passwords p where p.user_id = u.id order by p.id desc limit 1),
    'sessions', (select count(*) from sessions s where s.user_id = u.id and session_counts(s, clock(p_now))),
    'passwords', (select jsonb_agg(jsonb_build_object('at', p.created_at, 'asked_by', p.asked_by, 'temporary',
      p.temporary) order by p.id desc) from (select * from user_passwords where user_id = u.id order by id desc
      limit 20) p)) order by u.email), '[]')
  from (select * from users where tenant_id = p_tenant order by email limit p_limit) u
$function$;
revoke all on function public.list_users(text,integer,timestamp with time zone) from public;
grant execute on function public.list_users(text,integer,timestamp with time zone) to service_role;
grant execute on function public.list_users(text,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.listen_numbers(p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_now timestamptz := clock(p_now);
  v instances;
  m messages;
  v_heard timestamptz;
  v_sent jsonb;
  v_all jsonb := '{"wake": [], "deaf": [], "hears": []}';
begin
  for v in select * from instances where paired and status = 'open' and restored_at is null
    order by id for no key update loop
    v_heard := last_heard(v, v_now);
    if v.deaf_since is not null then
      continue when coalesce(v_heard <= v.deaf_since, true);
      update instances set deaf_since = null, hearing_message = null where id = v.id;
      perform note_instance(v, 'hears', null, jsonb_build_object('since', v.deaf_since), v_now);
      v_all := jsonb_set(v_all, '{hears}', v_all -> 'hears' || to_jsonb(v.name));
    elsif v.hearing_message is not null then
      select * into m from messages where id = v.hearing_message;
      if coalesce(v_heard > v.hearing_at, false) or v.hearing_at < v_now - interval '15 minutes' or m.id is null then
        update instances set hearing_message = null where id = v.id;
      elsif m.status = 'sent' and m.slot_at <= v_now - interval '2 minutes' then
        update instances set deaf_since = v_now, hearing_message = null where id = v.id;
        perform note_instance(v, 'deaf', null, jsonb_build_object('heard', v_heard), v_now);
        v_all := jsonb_set(v_all, '{deaf}', v_all -> 'deaf' || to_jsonb(v.name));
      end if;
    elsif v.phone is not null and coalesce(v.hearing_at < v_now - interval '6 hours', true)
      and greatest(v_heard, v.status_at, v_now - interval '1 day') <= v_now - interval '45 minutes'
      and is_silence_unusual(v, greatest(v_heard, v.status_at, v_now - interval '1 day'), v_now) then
      v_sent := enqueue_message(jsonb_build_object('tenant', v.tenant_id, 'instance', v.name, 'phone', v.phone, 'kind',
        'operator', 'correlation_id', 'hearing-' || v.id,
        'text', 'Teste automático: este número está ouvindo? Pode ignorar.', 'expires_at',
          v_now + interval '10 minutes'), v_now);
      update instances set hearing_at = v_now, hearing_message = (v_sent ->> 'id')::bigint where id = v.id;
      v_all := jsonb_set(v_all, '{wake}', v_all -> 'wake' || (v_sent -> 'conversation_id'));
    end if;
  end loop;
  return v_all;
end $function$;
revoke all on function public.listen_numbers(timestamp with time zone) from public;
grant execute on function public.listen_numbers(timestamp with time zone) to service_role;
grant execute on function public.listen_numbers(timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.live_campaigns()
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'tenant', c.tenant_id) order by c.id), '[]')
    from campaigns c where c.status in ('scheduled', 'running')
$function$;
revoke all on function public.live_campaigns() from public;
grant execute on function public.live_campaigns() to service_role;
grant execute on function public.live_campaigns() to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.lock_lanes(p_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  perform 1 from conversations where id = any (p_ids) order by id for no key update;
end $function$;
revoke all on function public.lock_lanes(bigint[]) from public;
grant execute on function public.lock_lanes(bigint[]) to service_role;
grant execute on function public.lock_lanes(bigint[]) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.lock_numbers(p_ids bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  perform 1 from instances where id in (select instance_id from conversations where id = any (p_ids))
    order by id for no key update;
end $function$;
revoke all on function public.lock_numbers(bigint[]) from public;
grant execute on function public.lock_numbers(bigint[]) to service_role;
grant execute on function public.lock_numbers(bigint[]) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.lock_own_words(p_instance_id bigint, p_key text)
 RETURNS void
 LANGUAGE sql
AS $function$ select pg_advisory_xact_lock(hashtextextended(p_instance_id || '/' || p_key, 12)) $function$;
revoke all on function public.lock_own_words(bigint,text) from public;
grant execute on function public.lock_own_words(bigint,text) to service_role;
grant execute on function public.lock_own_words(bigint,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.lock_provider_id(p_instance_id bigint, p_provider_id text)
 RETURNS void
 LANGUAGE sql
AS $function$ select pg_advisory_xact_lock(hashtextextended(p_instance_id || '/' || p_provider_id, 11)) $function$;
revoke all on function public.lock_provider_id(bigint,text) from public;
grant execute on function public.lock_provider_id(bigint,text) to service_role;
grant execute on function public.lock_provider_id(bigint,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.lock_spend(p_tenant text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  perform pg_advisory_xact_lock(hashtextextended('spend ' || p_tenant, 17));
end $function$;
revoke all on function public.lock_spend(text) from public;
grant execute on function public.lock_spend(text) to service_role;
grant execute on function public.lock_spend(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.lock_typed(p_instance_id bigint, p_typed text, p_contact bigint)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_key text;
begin
  if p_typed is null then return null; end if;
  v_key := own_words(p_typed, (select name from contacts where id = p_contact));
  if v_key is not null then perform lock_own_words(p_instance_id, v_key); end if;
  return v_key;
end $function$;
revoke all on function public.lock_typed(bigint,text,bigint) from public;
grant execute on function public.lock_typed(bigint,text,bigint) to service_role;
grant execute on function public.lock_typed(bigint,text,bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.looks(p_rule text, p_if boolean, p_look timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$ select case when p_if then jsonb_build_object('rule', p_rule, 'look', p_look) end $function$;
revoke all on function public.looks(text,boolean,timestamp with time zone) from public;
grant execute on function public.looks(text,boolean,timestamp with time zone) to service_role;
grant execute on function public.looks(text,boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.low_reply_ratio(p_instance bigint, p_percent integer, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if coalesce(p_percent, 0) = 0 then return false; end if;
  return (select count(*) >= 30 and count(*) filter (where c.last_inbound_at > s.slot_at) * 100 < p_percent * count(*)
    from (select conversation_id, slot_at from slots
      where instance_id = p_instance and not reply and slot_at > p_now - interval '14 days'
        and slot_at <= p_now - interval '1 day' and is_campaign(kind) order by slot_at desc limit 100) s
        join conversations c on c.id = s.conversation_id);
end $function$;
revoke all on function public.low_reply_ratio(bigint,integer,timestamp with time zone) from public;
grant execute on function public.low_reply_ratio(bigint,integer,timestamp with time zone) to service_role;
grant execute on function public.low_reply_ratio(bigint,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.mark_automatic(p_instance bigint, p_key text, p_verdict text, p_at timestamp with time zone, p_now timestamp with time zone)
 RETURNS bigint[]
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_copy record; v_wake bigint[] := '{}';
begin
  for v_copy in
    with wrong as (update messages m set author = 'automatic', reason = p_verdict
      where m.instance_id = p_instance and m.kind is null and m.meaning ? 'own_words'
        and m.meaning ->> 'own_words' = p_key and m.author = 'human'
        and case p_verdict when 'broadcast' then m.provider_at > p_at - interval '10 minutes'
          else m.provider_at > p_at - interval '2 days'
            and ((m.meaning ->> 'waited')::int <= 15 and not (m.meaning ->> 'mid')::boolean
            or (m.meaning ->> 'after_send')::int <= 5) end
      returning m.conversation_id, m.created_at)
    select conversation_id, min(created_at) as at from wrong group by 1 order by 1
  loop
    if undo_takeover(v_copy.conversation_id, v_copy.at, p_now) then v_wake := v_wake || v_copy.conversation_id; end if;
  end loop;
  return v_wake;
end $function$;
revoke all on function public.mark_automatic(bigint,text,text,timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.mark_automatic(bigint,text,text,timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.mark_automatic(bigint,text,text,timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.mark_refused(p_turn public.turns, p_calls jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_models text[]; v_again text[];
begin
  select array_agg(distinct c ->> 'model') into v_models from jsonb_array_elements(p_calls) c
    where c ->> 'outcome' = 'refusal';
  if v_models is null then return; end if;
  select array(select unnest(m.refused_by) intersect select unnest(v_models)) into v_again from messages m
    where m.conversation_id = p_turn.conversation_id and m.direction = 'in' and m.turn_id < p_turn.id
      order by m.seq desc limit 1;
  update messages m set refused_by = array(select unnest(m.refused_by) union select unnest(v_models))
    where m.turn_id = p_turn.id and m.direction = 'in';
  update messages m set refused_by = array(select unnest(m.refused_by) union select unnest(v_again))
    where m.conversation_id = p_turn.conversation_id and not coalesce(m.refused_by, '{}') @> v_again;
end $function$;
revoke all on function public.mark_refused(public.turns,jsonb) from public;
grant execute on function public.mark_refused(public.turns,jsonb) to service_role;
grant execute on function public.mark_refused(public.turns,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.mark_restored(p_backup_at timestamp with time zone, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v_uncertain int := 0;
begin
  insert into installation (key, value) values ('restored_backup', p_backup_at::text) on conflict (key) do update
    set value = excluded.value
    where installation.value <> excluded.value;
  if not found then return restored_state(0); end if;
  update messages set status = 'uncertain', reason = 'restored', error_class = null, lease_until = null, looks = 0,
    due_at = v_now, goes_at = null,
      -- it may have been claimed since: its echo is ours, and a worker of that time may say nothing any more
      claim = claim + 1,
      claimed_at = case status when 'queued' then p_backup_at else claimed_at end
    where id in (select message_id from outbox union all select message_id from on_wire)
      and reason is distinct from 'restored'
      and not (status = 'queued' and reason is null and is_proactive(kind) and due_at > v_now);
  get diagnostics v_uncertain = row_count;
  update turns set status = 'expired', reason = 'lease_ran_out', ended_at = v_now where status = 'open';
  update job_runs set status = 'failed', error = 'restored', ended_at = v_now where status = 'running';
  delete from process_status;
  insert into julia_status (tenant_id, status, motivo, alterado_via, scope, target, created_at)
    select i.tenant_id, 'pausado', 'backup restaurado: espera a comparação com o WhatsApp', 'restore', 'instance',
      i.name, v_now from instances i
    where i.restored_at is null and pause_status('instance', i.name, i.tenant_id) is distinct from 'pausado';
  update instances set restored_at = v_now where restored_at is null;
  -- readers have cursors of after the backup: what happens from now on stands behind all of them
  update event_feeds set numbered = numbered + 1000000000;
  insert into audit_log (actor, action, subject, details, created_at)
    values (p_actor, 'restore', to_char(p_backup_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    jsonb_build_object('uncertain', v_uncertain), v_now);
  return restored_state(v_uncertain);
end $function$;
revoke all on function public.mark_restored(timestamp with time zone,text,timestamp with time zone) from public;
grant execute on function public.mark_restored(timestamp with time zone,text,timestamp with time zone) to service_role;
grant execute on function public.mark_restored(timestamp with time zone,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.may_change(p_message public.messages, p_conversation public.conversations, p_event jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_pn text := p_event -> 'chat' ->> 'pn';
  v_lid text := p_event -> 'chat' ->> 'lid';
  v_by bigint;
begin
  if coalesce((p_event ->> 'fromMe')::boolean, false) <> (p_message.direction = 'out') then return false; end if;
  -- the lid first: it names an account, a phone number is lent
  if v_lid is not null then select contact_id into v_by from contact_addresses
    where kind = 'lid' and instance_id = p_message.instance_id and address = v_lid; end if;
  if v_by is null and v_pn is not null then
    select contact_id into v_by from contact_addresses where kind = 'pn' and tenant_id = p_message.tenant_id
      and address = v_pn;
    if v_lid is not null and exists (select from contact_addresses
      where contact_id = v_by and kind = 'lid' and instance_id = p_message.instance_id) then return false; end if;
  end if;
  -- our own number says it of a chat under a name that is new to us
  if v_by is null and p_message.direction = 'out'
    then return fits_chat(p_message.instance_id, p_conversation.contact_id, p_event -> 'chat',
    null) > 0; end if;
  return coalesce(v_by = p_conversation.contact_id, v_pn is null and v_lid is null);
end $function$;
revoke all on function public.may_change(public.messages,public.conversations,jsonb) from public;
grant execute on function public.may_change(public.messages,public.conversations,jsonb) to service_role;
grant execute on function public.may_change(public.messages,public.conversations,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.may_connect(p_tenant text, p_name text, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_owner text; v_most int; v_aside set_aside;
begin
  select coalesce((substring(settings ->> 'max_numbers' from '^\d{1,6}$'))::int, 10) into v_most from tenants
    where id = p_tenant for no key update;
  if not found then return jsonb_build_object('outcome', 'unknown_tenant'); end if;
  select tenant_id into v_owner from instances where name = p_name;
  if v_owner = p_tenant then return jsonb_build_object('outcome', 'own'); end if;
  if p_tenant = 'default' then return jsonb_build_object('outcome', case when v_owner is null then 'new'
    else 'not_yours' end); end if;
  -- before it is said whose the name is: who may have no more learns nothing of names
  if (select count(*) from (select tried_name(name) as name from instances where tenant_id = p_tenant union
      select subject from audit_log where tenant_id = p_tenant and action = 'instance.try'
        and created_at > clock(p_now) - interval '1 hour') names where name <> tried_name(p_name)) >= v_most then
    return jsonb_build_object('outcome', 'too_many', 'most', v_most);
  end if;
  insert into audit_log (tenant_id, actor, action, subject, created_at)
    values (p_tenant, p_actor, 'instance.try', tried_name(p_name), clock(p_now));
  if v_owner is not null then return jsonb_build_object('outcome', 'not_yours'); end if;
  select * into v_aside from set_aside where name = p_name and tenant_id <> p_tenant order by id limit 1;
  if not found then return jsonb_build_object('outcome', 'new'); end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values ('default', p_actor, 'instance.connect_refused', p_name, jsonb_build_object('tenant', p_tenant, 'aside',
      v_aside.id), clock(p_now));
  perform add_notice(jsonb_build_object('tenant', 'default', 'key', 'aside-wanted-' || v_aside.id || '-' || p_tenant,
    'kind', 'alert', 'urgent', true, 'about', null,
    'text', format('O cliente %s quis conectar o número aside:%s, que mandou webhooks e está guardado: foi recusado. Se é dele: npm run admin -- instance adopt aside:%s --for %s.',
      p_tenant, v_aside.id, v_aside.id, p_tenant)), p_now);
  return jsonb_build_object('outcome', 'not_yours');
end $function$;
revoke all on function public.may_connect(text,text,text,timestamp with time zone) from public;
grant execute on function public.may_connect(text,text,text,timestamp with time zone) to service_role;
grant execute on function public.may_connect(text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.media_item(p_message public.messages, p_attempts integer)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('message_id', p_message.id, 'tenant_id', p_message.tenant_id, 'instance', i.name,
    'provider_id', p_message.provider_id, 'type', p_message.type, 'text', p_message.text,
    'mimetype', p_message.media ->> 'mimetype', 'file_name', p_message.media ->> 'fileName',
    'seconds', (p_message.media ->> 'seconds')::numeric, 'bytes', (p_message.media ->> 'bytes')::numeric,
    'attempts', p_attempts, 'many', too_many_files(p_message, 1))
  from instances i where i.id = p_message.instance_id
$function$;
revoke all on function public.media_item(public.messages,integer) from public;
grant execute on function public.media_item(public.messages,integer) to service_role;
grant execute on function public.media_item(public.messages,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.media_text(p_text text, p_note text, p_said text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select concat_ws(E'\n', p_note, nullif(regexp_replace(p_text, E'^[^\n]*\n?', ''), ''), p_said)
$function$;
revoke all on function public.media_text(text,text,text) from public;
grant execute on function public.media_text(text,text,text) to service_role;
grant execute on function public.media_text(text,text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.media_unread(p_tenant text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('waiting', coalesce(sum(w.waiting), 0), 'reasons',
    coalesce(jsonb_object_agg(w.reason, w.recent) filter (where w.recent > 0), '{}'))
  from (select reason, count(*) filter (where next_at is not null) as waiting,
      count(*) filter (where updated_at > clock(p_now) - interval '1 hour') as recent
    from media_waits where tenant_id = coalesce(p_tenant, tenant_id) group by reason) w
$function$;
revoke all on function public.media_unread(text,timestamp with time zone) from public;
grant execute on function public.media_unread(text,timestamp with time zone) to service_role;
grant execute on function public.media_unread(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.meet_known(p_instance public.instances, p_known public.messages, p_event jsonb, p_sent_at timestamp with time zone, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_from_me boolean := (p_event ->> 'fromMe')::boolean;
  v_wordless boolean := coalesce((p_event -> 'content' ->> 'wordless')::boolean, false);
begin
  if v_from_me and p_known.author in ('agent', 'system') then
    return settle_echo(p_known, p_known.provider_id, false, p_sent_at, p_now);
  end if;
  if v_wordless or p_event ->> 'kind' = 'reaction' or not lacks_words(p_known, v_from_me)
    or not may_change(p_known, (select c from conversations c where c.id = p_known.conversation_id), p_event) then
    return repeated_message(p_instance, p_known, p_event, v_wordless, p_now);
  end if;
  return null;
end $function$;
revoke all on function public.meet_known(public.instances,public.messages,jsonb,timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.meet_known(public.instances,public.messages,jsonb,timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.meet_known(public.instances,public.messages,jsonb,timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.meet_own_words(p_conversation public.conversations, p_event jsonb, p_sent_at timestamp with time zone, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_message messages;
begin
  select * into v_message from messages
    where id in (select message_id from on_wire where conversation_id = p_conversation.id
        union all select message_id from outbox where conversation_id = p_conversation.id
        union all select message_id from dead_sends where conversation_id = p_conversation.id and status = 'unproven')
      and status in ('sending', 'uncertain', 'unproven', 'queued') and claim > 0 and provider_id is null
      and (type = 'reaction') = (p_event ->> 'kind' = 'reaction') and same_words(text) = same_words(event_text(p_event))
      and claimed_at <= p_sent_at + interval '5 minutes'
    order by case when status = 'queued' then 1 when status = 'unproven' then 2 else 0 end, id limit 1;
  if not found then return null; end if;
  perform settle_sent(v_message.id, p_event ->> 'providerId', p_sent_at, p_now);
  return jsonb_build_object('outcome', 'echo', 'conversation_id', p_conversation.id, 'message_id', v_message.id,
    'correlation_id', v_message.correlation_id, 'wake', false, 'wake_send', true);
end $function$;
revoke all on function public.meet_own_words(public.conversations,jsonb,timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.meet_own_words(public.conversations,jsonb,timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.meet_own_words(public.conversations,jsonb,timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.meet_unknown(p_instance public.instances, p_event jsonb, p_sent_at timestamp with time zone, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_from_me boolean := (p_event ->> 'fromMe')::boolean;
  v_known messages;
begin
  if p_event ? 'revised' and p_event ->> 'kind' <> 'reaction' then
    v_known := news_of(p_instance.id, p_event ->> 'providerId', p_event -> 'chat', v_from_me);
    if v_known.id is not null then
      return repeated_message(p_instance, v_known, p_event,
        coalesce((p_event -> 'content' ->> 'wordless')::boolean, false), p_now);
    end if;
  end if;
  if v_from_me then v_known := sent_as(p_instance.id, p_event ->> 'providerId'); end if;
  if v_known.id is null then return null; end if;
  return settle_echo(v_known, v_known.wire_id, true, p_sent_at, p_now);
end $function$;
revoke all on function public.meet_unknown(public.instances,jsonb,timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.meet_unknown(public.instances,jsonb,timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.meet_unknown(public.instances,jsonb,timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.meets_forged(p_instance public.instances, p_event jsonb, p_ourselves boolean, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_hash text;
begin
  if not exists (select from forged_messages where instance_id = p_instance.id) then return false; end if;
  v_hash := message_hash(p_instance.id, p_event ->> 'providerId');
  if p_ourselves then
    update forged_messages set found_at = coalesce(found_at, p_now) where instance_id = p_instance.id and hash = v_hash;
    return found;
  end if;
  delete from forged_messages where instance_id = p_instance.id and hash = v_hash
    and chats && chat_hashes(p_instance.id, jsonb_build_array(p_event -> 'chat', p_event -> 'alt'));
  return false;
end $function$;
revoke all on function public.meets_forged(public.instances,jsonb,boolean,timestamp with time zone) from public;
grant execute on function public.meets_forged(public.instances,jsonb,boolean,timestamp with time zone) to service_role;
grant execute on function public.meets_forged(public.instances,jsonb,boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.merge_by_hand(p_tenant text, p_a bigint, p_b bigint, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_kept bigint;
begin
  if p_a = p_b then return jsonb_build_object('outcome', 'same'); end if;
  perform 1 from contacts where id in (p_a, p_b) order by id for update;
  if (select count(*) from contacts where id in (p_a, p_b) and tenant_id = p_tenant and merged_into is null
    and erased_at is null) < 2 then
    return jsonb_build_object('outcome', 'unknown');
  end if;
  v_kept := merge_contacts(p_a, p_b);
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'contact.merge_by_hand', v_kept::text, jsonb_build_object('merged', greatest(p_a, p_b),
      'reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'merged', 'kept', v_kept);
end $function$;
revoke all on function public.merge_by_hand(text,bigint,bigint,text,text,timestamp with time zone) from public;
grant execute on function public.merge_by_hand(text,bigint,bigint,text,text,timestamp with time zone) to service_role;
grant execute on function public.merge_by_hand(text,bigint,bigint,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.merge_contacts(p_a bigint, p_b bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_keep bigint := least(p_a, p_b);
  v_drop bigint := greatest(p_a, p_b);
  v_kept contacts;
  v_dropped contacts;
  v_from conversations;
  v_into conversations;
  v_after conversations;
  v_shift bigint;
  v_doubled jsonb;
  v_handoffs jsonb;
  v_turns jsonb;
  v_ids jsonb;
  v_pause bigint;
  v_paused text;
  v_facts jsonb;
  v_closed jsonb;
  v_moved jsonb := '[]';
  v_addresses jsonb;
  v_revoked jsonb;
  v_opt_outs jsonb;
begin
  perform 1 from contacts where id in (v_keep, v_drop) order by id for update;
  select * into v_kept from contacts where id = v_keep;
  select * into v_dropped from contacts where id = v_drop;
  -- somebody else was quicker while we waited for the locks: there is nothing left to do, and nothing to write down
  -- twice
  if v_kept.merged_into is not null or v_dropped.merged_into is not null then return v_keep; end if;
  for v_from in select * from conversations where contact_id = v_drop and merged_into is null order by id for update
    loop
    select * into v_into from conversations where instance_id = v_from.instance_id and contact_id = v_keep for update;
    if not found then
      update conversations set contact_id = v_keep where id = v_from.id;
      v_moved := v_moved || jsonb_build_object('from', v_from.id);
      continue;
    end if;
    update turns set status = 'superseded', reason = 'contact_merged', ended_at = clock_timestamp()
      where conversation_id = v_from.id and status = 'open';
    v_shift := v_into.last_seq;
    -- two chats had a message of the same id: the one that moves is found by its words from now on
    with twice as (select m.id, m.provider_id from messages m join messages o on o.instance_id = m.instance_id
      and o.provider_id = m.provider_id
        where m.conversation_id = v_from.id and o.conversation_id = v_into.id),
      gone as (update messages m set provider_id = null from twice where m.id = twice.id)
      select coalesce(jsonb_agg(to_jsonb(twice)), '[]') into v_ids from twice;
    update messages set conversation_id = v_into.id, seq = seq + v_shift where conversation_id = v_from.id;
    delete from summaries where conversation_id = v_from.id;
    update conversations set last_seq = last_seq + v_from.last_seq, inbound_seq = inbound_seq + v_from.inbound_seq,
      jid = v_from.jid,
      last_inbound_at = greatest(last_inbound_at, v_from.last_inbound_at),
      takeover_since = coalesce(takeover_since, v_from.takeover_since),
        takeover_until = greatest(takeover_until, v_from.takeover_until),
      controlled_by = case when v_from.controlled_by = 'human' then 'human' else controlled_by end,
      escalation_reason = coalesce(escalation_reason, v_from.escalation_reason),
      mode = case when mode = 'auto' then v_from.mode else mode end
      where id = v_into.id returning * into v_after;
    select coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'status', d.status)), '[]') into v_doubled from handoffs d
      where d.conversation_id = v_from.id and d.status <> 'returned'
      and exists (select 1 from handoffs h where h.conversation_id = v_into.id and h.controls = d.controls
        and h.status <> 'returned');
    update handoffs set status = 'returned', returned_at = clock_timestamp()
      where id in (select (d ->> 'id')::bigint from jsonb_array_elements(v_doubled) d);
    -- the timeline of a message that moved tells its turns, tools and handoffs too
    with gone as (update handoffs set conversation_id = v_into.id where conversation_id = v_from.id
      returning id) select coalesce(jsonb_agg(id), '[]') into v_handoffs from gone;
    with gone as (update turns set conversation_id = v_into.id where conversation_id = v_from.id
      returning id) select coalesce(jsonb_agg(id), '[]') into v_turns from gone;
    update tool_calls set conversation_id = v_into.id where conversation_id = v_from.id;
    update tool_writes set conversation_id = v_into.id where conversation_id = v_from.id;
    update approvals set conversation_id = v_into.id where conversation_id = v_from.id;
    -- who paused the one has paused the person
    v_paused := pause_status('conversation', v_into.id::text, v_into.tenant_id);
    v_pause := null;
    insert into julia_status (tenant_id, status, motivo, alterado_via, scope, target)
      select j.tenant_id, j.status, j.motivo, 'contact.merge', 'conversation', v_into.id::text
      from (select * from julia_status where scope = 'conversation' and target = v_from.id::text order by id desc
        limit 1) j where j.status = 'pausado' returning id into v_pause;
    update conversations set merged_into = v_into.id where id = v_from.id;
    v_moved := v_moved || jsonb_build_object('from', v_from.id, 'into', v_into.id, 'shift', v_shift, 'last_seq',
      v_from.last_seq, 'before', to_jsonb(v_into),
      'takeover_until', v_after.takeover_until, 'controlled_by', v_after.controlled_by, 'mode', v_after.mode,
        'handoffs', v_handoffs, 'doubled', v_doubled, 'turns', v_turns, 'ids', v_ids, 'pause', v_pause, 'paused_before',
        v_paused);
  end loop;
  with gone as (update contact_addresses set contact_id = v_keep where contact_id = v_drop
    returning id) select coalesce(jsonb_agg(id), '[]') into v_addresses from gone;
  with gone as (update opt_outs set revoked_at = clock_timestamp() where contact_id = v_drop and revoked_at is null
      and exists (select 1 from opt_outs o where o.contact_id = v_keep and o.revoked_at is null) returning id)
    select coalesce(jsonb_agg(id), '[]') into v_revoked from gone;
  -- the one that holds was said where either was; an operator's stays one
  update opt_outs k set said_on = said_on_both(k.said_on, d.said_on) from opt_outs d
    where k.contact_id = v_keep and k.revoked_at is null
      and d.id in (select jsonb_array_elements_text(v_revoked)::bigint);
  with gone as (update opt_outs set contact_id = v_keep where contact_id = v_drop
    returning id) select coalesce(jsonb_agg(id), '[]') into v_opt_outs from gone;
  -- of two facts about the same thing the newer one is current
  with closed as (update contact_facts set replaced_at = clock_timestamp() where id in (
      select case when k.noted_at >= d.noted_at then d.id else k.id end
        from contact_facts k join contact_facts d on d.kind = k.kind and d.about = k.about
        where k.contact_id = v_keep and d.contact_id = v_drop and k.replaced_at is null and d.replaced_at is null)
    returning id) select coalesce(jsonb_agg(id), '[]') into v_closed from closed;
  with gone as (update contact_facts set contact_id = v_keep where contact_id = v_drop
    returning id) select coalesce(jsonb_agg(id), '[]') into v_facts from gone;
  update contacts set name = coalesce(v_kept.name, v_dropped.name),
    cooling_until = greatest(v_kept.cooling_until, v_dropped.cooling_until),
    next_allowed_at = greatest(v_kept.next_allowed_at, v_dropped.next_allowed_at) where id = v_keep;
  update contacts set merged_into = v_keep where id = v_drop;
  insert into contact_merges (tenant_id, kept, merged, moved)
    values (v_kept.tenant_id, v_keep, v_drop, jsonb_build_object('conversations', v_moved, 'addresses', v_addresses,
    'opt_outs', v_opt_outs, 'opt_outs_revoked', v_revoked, 'before', jsonb_build_object('name', v_kept.name,
      'cooling_until', v_kept.cooling_until, 'next_allowed_at', v_kept.next_allowed_at),
    'facts', v_facts, 'facts_closed', v_closed));
  insert into audit_log (tenant_id, actor, action, subject, details)
    values (v_kept.tenant_id, 'runtime', 'contact.merge', v_keep::text, jsonb_build_object('merged', v_drop));
  return v_keep;
end $function$;
revoke all on function public.merge_contacts(bigint,bigint) from public;
grant execute on function public.merge_contacts(bigint,bigint) to service_role;
grant execute on function public.merge_contacts(bigint,bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.message_contact(p_instance public.instances, p_event jsonb, p_sent_at timestamp with time zone, p_now timestamp with time zone)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_chat jsonb := p_event -> 'chat'; v_name text := p_event ->> 'pushName'; v_contact bigint;
begin
  if (p_event ->> 'fromMe')::boolean then
    v_chat := own_chat(p_instance, v_chat, p_event -> 'alt');
    v_name := null;
  end if;
  v_contact := ensure_contact(p_instance, v_chat ->> 'pn', v_chat ->> 'lid', v_name, p_sent_at, p_now, p_event,
    p_event -> 'from');
  if v_contact is null then perform bury_message(p_instance, p_event ->> 'providerId', p_now); end if;
  return v_contact;
end $function$;
revoke all on function public.message_contact(public.instances,jsonb,timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.message_contact(public.instances,jsonb,timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.message_contact(public.instances,jsonb,timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.message_hash(p_instance bigint, p_provider_id text)
 RETURNS text
 LANGUAGE sql
 STABLE
AS $function$ select keyed_hash('message/' || p_instance || '/' || p_provider_id) $function$;
revoke all on function public.message_hash(bigint,text) from public;
grant execute on function public.message_hash(bigint,text) to service_role;
grant execute on function public.message_hash(bigint,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.message_row(p_message public.messages)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('id', p_message.id, 'status', p_message.status, 'reason', p_message.reason,
    'goes_at', promised_at(p_message), 'provider_message_id', p_message.provider_id, 'kind', p_message.kind,
    'direction', p_message.direction, 'conversation_id', p_message.conversation_id,
    'instance', (select i.name from instances i where i.id = p_message.instance_id),
    -- words of a conversation are for operators: see timeline
    'to', case when is_proactive(p_message.kind) and p_message.kind <> 'operator' then (select a.address
      from conversations c join contact_addresses a on a.contact_id = c.contact_id and a.kind = 'pn'
      where c.id = p_message.conversation_id order by a.id limit 1) end,
    'text', case when is_proactive(p_message.kind) and p_message.kind <> 'operator' then p_message.text end,
    'campaign_id', p_message.campaign_id, 'duplicate_of', p_message.duplicate_of,
    'bypass_reason', p_message.bypass, 'attempts', p_message.attempts, 'created_at', p_message.created_at,
    'sent_at', case when p_message.direction = 'out' and p_message.provider_id is not null
      then p_message.provider_at end,
    'expires_at', p_message.expires_at, 'delivered_at', p_message.delivered_at, 'read_at', p_message.read_at)
$function$;
revoke all on function public.message_row(public.messages) from public;
grant execute on function public.message_row(public.messages) to service_role;
grant execute on function public.message_row(public.messages) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.message_status(p_tenant text, p_message bigint)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select message_row(m) from messages m where m.id = p_message and m.tenant_id = p_tenant
$function$;
revoke all on function public.message_status(text,bigint) from public;
grant execute on function public.message_status(text,bigint) to service_role;
grant execute on function public.message_status(text,bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.metrics_snapshot(p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  with inbound as (
    select tenant_id, count(*) as n, extract(epoch from clock(p_now) - min(created_at)) as age from inbox
      group by tenant_id
  ), lanes as (
    select tenant_id, count(*) as queued, extract(epoch
      from clock(p_now) - min(due_at) filter (where due_at <= clock(p_now))) as age
    from outbox group by tenant_id
  ), wire as (
    select tenant_id, count(*) filter (where status = 'sending') as sending,
      count(*) filter (where status = 'uncertain') as uncertain from on_wire group by tenant_id
  ), dead as (
    select tenant_id, count(*) as n from dead_sends group by tenant_id
  ), people as (
    select tenant_id, count(*) as n from handoffs where status <> 'returned' group by tenant_id
  ), day as (
    select tenant_id, count(distinct conversation_id) filter (where status = 'committed') as answered,
      sum(cost_usd) as cost
    -- asked once: an index is of no use to what changes from row to row
    from turns where started_at > (select clock(p_now)) - interval '24 hours' group by tenant_id
  )
  select coalesce(jsonb_agg(jsonb_build_object('tenant', t.id, 'unanswered', coalesce(inbound.n, 0),
    'unanswered_seconds', inbound.age,
    'queued', coalesce(lanes.queued, 0), 'queued_seconds', lanes.age, 'sending', coalesce(wire.sending, 0),
      'uncertain', coalesce(wire.uncertain, 0),
    'dead', coalesce(dead.n, 0), 'handoffs', coalesce(people.n, 0), 'answered_conversations', coalesce(day.answered, 0),
      'cost_usd', coalesce(day.cost, 0)) order by t.id), '[]')
  from tenants t left join inbound on inbound.tenant_id = t.id left join lanes on lanes.tenant_id = t.id
    left join wire on wire.tenant_id = t.id left join dead on dead.tenant_id = t.id
    left join people on people.tenant_id = t.id left join day on day.tenant_id = t.id
$function$;
revoke all on function public.metrics_snapshot(timestamp with time zone) from public;
grant execute on function public.metrics_snapshot(timestamp with time zone) to service_role;
grant execute on function public.metrics_snapshot(timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.missing_embeddings(p_model text, p_whole integer, p_limit integer)
 RETURNS json
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  delete from embeddings e where not exists (select from knowledge_chunks c
    where c.tenant_id = e.tenant_id and c.sha256 = e.sha256);
  return (select coalesce(json_agg(json_build_object('tenant_id', m.tenant_id, 'sha256', m.sha256, 'text', m.text)
      order by m.tenant_id, m.sha256), '[]')
    from (select distinct on (c.tenant_id, c.sha256) c.tenant_id, c.sha256,
        concat_ws(E'\n', nullif(c.heading, ''), c.text) as text
      from knowledge_chunks c
      where c.tenant_id in (select k.tenant_id from knowledge k group by k.tenant_id having sum(k.chars) > p_whole)
        and not exists (select from embeddings e where e.tenant_id = c.tenant_id and e.model = p_model
          and e.sha256 = c.sha256)
      order by c.tenant_id, c.sha256 limit p_limit) m);
end $function$;
revoke all on function public.missing_embeddings(text,integer,integer) from public;
grant execute on function public.missing_embeddings(text,integer,integer) to service_role;
grant execute on function public.missing_embeddings(text,integer,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.model_calls_of(p_result jsonb)
 RETURNS TABLE(model text, outcome text, ms integer, input_tokens integer, output_tokens integer, thinking_tokens integer, cache_read_tokens integer, cache_write_tokens integer, cost_usd numeric, estimated boolean, detail text, cache_miss text)
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select * from jsonb_to_recordset(coalesce(p_result -> 'model_calls', '[]')) as r (model text, outcome text, ms int,
    input_tokens int, output_tokens int, thinking_tokens int, cache_read_tokens int, cache_write_tokens int,
    cost_usd numeric, estimated boolean, detail text, cache_miss text)
$function$;
revoke all on function public.model_calls_of(jsonb) from public;
grant execute on function public.model_calls_of(jsonb) to service_role;
grant execute on function public.model_calls_of(jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.move_phone(p_instance public.instances, p_pn text, p_to bigint, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v contact_addresses; v_talk conversations; v_jid text;
begin
  select * into v from contact_addresses where kind = 'pn' and tenant_id = p_instance.tenant_id and address = p_pn;
  perform hand_on_opt_out(v.contact_id, p_to, p_pn);
  insert into former_phones (tenant_id, contact_id, address, until)
    values (p_instance.tenant_id, v.contact_id, p_pn, p_now);
  if p_to is null then delete from contact_addresses where id = v.id;
  else update contact_addresses set contact_id = p_to, instance_id = p_instance.id, delivered_at = null,
    moved_at = p_now where id = v.id; end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_instance.tenant_id, 'runtime', 'contact.phone_moved', v.contact_id::text,
      jsonb_build_object('to', p_to, 'instance', p_instance.name), p_now);
  -- by its end: a jid may have another writing of the number
  for v_talk in select * from conversations where contact_id = v.contact_id and merged_into is null and jid like '%'
    || right(p_pn, 8) || '@s.whatsapp.net' order by id for no key update loop
    select case kind when 'lid' then address || '@lid' else address || '@s.whatsapp.net' end into v_jid
      from contact_addresses
      where contact_id = v.contact_id and (kind = 'pn' or instance_id = v_talk.instance_id)
        order by kind = 'lid' desc, delivered_at desc nulls last, id desc limit 1;
    update conversations set jid = coalesce(v_jid, 'moved') where id = v_talk.id;
    if v_jid is null then
      update messages set status = 'cancelled', reason = 'phone_moved'
        where id in (select message_id from outbox where conversation_id = v_talk.id
          union all select message_id from drafts where conversation_id = v_talk.id) and status in ('queued', 'draft');
    end if;
  end loop;
end $function$;
revoke all on function public.move_phone(public.instances,text,bigint,timestamp with time zone) from public;
grant execute on function public.move_phone(public.instances,text,bigint,timestamp with time zone) to service_role;
grant execute on function public.move_phone(public.instances,text,bigint,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.named_in(p_heard public.heard_event[])
 RETURNS TABLE(n bigint, tenant_id text, kind text, address text, contact_id bigint)
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select h.n, h.tenant_id, 'pn', h.address, a.contact_id
    from (select n, tenant_id, pn as address from unnest(p_heard) where pn is not null
      union all select n, tenant_id, alt_pn from unnest(p_heard) where alt_pn is not null) h
      left join contact_addresses a on a.kind = 'pn' and a.tenant_id = h.tenant_id and a.address = h.address
  union all select h.n, h.tenant_id, 'lid', h.address, a.contact_id
    from (select n, tenant_id, instance_id, lid as address from unnest(p_heard) where lid is not null
      union all select n, tenant_id, instance_id, alt_lid from unnest(p_heard) where alt_lid is not null) h
      left join contact_addresses a on a.kind = 'lid' and a.instance_id = h.instance_id and a.address = h.address
$function$;
revoke all on function public.named_in(public.heard_event[]) from public;
grant execute on function public.named_in(public.heard_event[]) to service_role;
grant execute on function public.named_in(public.heard_event[]) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.names_erased(p_instance public.instances, p_body jsonb, p_at timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  return exists (select from erasures where tenant_id = p_instance.tenant_id) and exists (
    with hits as materialized (
      select a.kind, d.d as digits, e.erased_at
        from digits_in(p_body) d (d) cross join (values ('pn'), ('lid')) a (kind)
        -- a limit: by its index, whatever the planner thinks
        cross join lateral (select erased_at from erasures e
          where e.tenant_id = p_instance.tenant_id and e.hash = address_hash(a.kind, p_instance.id, d.d) limit 1) e)
    select from hits h where p_at < date_trunc('second', h.erased_at) or not exists (select from contact_addresses c
      where c.tenant_id = p_instance.tenant_id and c.kind = h.kind
      and c.address = any (case h.kind when 'pn' then both_writings(h.digits) else array[h.digits] end)));
end $function$;
revoke all on function public.names_erased(public.instances,jsonb,timestamp with time zone) from public;
grant execute on function public.names_erased(public.instances,jsonb,timestamp with time zone) to service_role;
grant execute on function public.names_erased(public.instances,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.needs_people(p_tenant text, p_now timestamp with time zone)
 RETURNS bigint[]
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(array_agg((r ->> 'id')::bigint order by (r ->> 'waits_since')::timestamptz nulls last,
    (r ->> 'id')::bigint), '{}')
  from jsonb_array_elements(conversation_rows(with_people(p_tenant, p_now), p_now)) r
$function$;
revoke all on function public.needs_people(text,timestamp with time zone) from public;
grant execute on function public.needs_people(text,timestamp with time zone) to service_role;
grant execute on function public.needs_people(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.new_wire_id()
 RETURNS text
 LANGUAGE sql
AS $function$ select '3EB0' || upper(substr(replace(gen_random_uuid()::text, '-', ''), 1, 8)
  || substr(replace(gen_random_uuid()::text, '-', ''), 1, 10)) $function$;
revoke all on function public.new_wire_id() from public;
grant execute on function public.new_wire_id() to service_role;
grant execute on function public.new_wire_id() to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.news_of(p_instance_id bigint, p_provider_id text, p_chat jsonb, p_own boolean)
 RETURNS public.messages
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_message messages := known_message(p_instance_id, p_provider_id, p_chat, null, p_own);
begin
  if v_message.id is null then select * into v_message from messages where instance_id = p_instance_id
    and provider_id = p_provider_id
    order by id limit 1; end if;
  return v_message;
end $function$;
revoke all on function public.news_of(bigint,text,jsonb,boolean) from public;
grant execute on function public.news_of(bigint,text,jsonb,boolean) to service_role;
grant execute on function public.news_of(bigint,text,jsonb,boolean) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.next_open(p_hours jsonb, p_tenant text, p_now timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_opens timestamptz; v_first timestamptz;
begin
  if inside_hours(p_hours, p_tenant, p_now) then return p_now; end if;
  -- a clock that is set back may come into the hours a second time
  select min(t) into v_first from generate_series(date_trunc('minute', p_now), p_now + interval '2 hours',
    interval '1 minute') t
    where t > p_now and inside_hours(p_hours, p_tenant, t);
  if v_first is not null then return v_first; end if;
  for ahead in 0..400 loop
    v_opens := ((p_now at time zone (p_hours ->> 'tz'))::date + ahead
      + (p_hours ->> 'start')::time) at time zone (p_hours ->> 'tz');
    -- and passes the opening twice; one that is set forward may skip it: the first moment inside counts
    if inside_hours(p_hours, p_tenant, v_opens) then
      select min(t) into v_first from generate_series(v_opens - interval '1 hour', v_opens, interval '1 minute') t
        where t > p_now and inside_hours(p_hours, p_tenant, t);
      if v_first is not null then return v_first; end if;
    end if;
  end loop;
  return p_now + interval '1 day'; -- hours that never open: looked at again tomorrow
end $function$;
revoke all on function public.next_open(jsonb,text,timestamp with time zone) from public;
grant execute on function public.next_open(jsonb,text,timestamp with time zone) to service_role;
grant execute on function public.next_open(jsonb,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.next_send(p_conversation bigint, p_now timestamp with time zone)
 RETURNS public.messages
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_message messages;
begin
  select m.* into v_message from outbox o join messages m on m.id = o.message_id
    where o.conversation_id = p_conversation and (not is_proactive(o.kind) or o.kind = 'operator')
    order by o.kind = 'operator' desc, o.priority, o.message_id limit 1;
  if found then return v_message; end if;
  select m.* into v_message from outbox o join messages m on m.id = o.message_id
    where o.conversation_id = p_conversation and o.due_at <= p_now and not campaign_paused(o.tenant_id, o.campaign_id)
    order by o.priority, o.message_id limit 1;
  if found then return v_message; end if;
  select m.* into v_message from outbox o join messages m on m.id = o.message_id
    where o.conversation_id = p_conversation
    order by campaign_paused(o.tenant_id, o.campaign_id), o.due_at, o.message_id limit 1;
  return v_message;
end $function$;
revoke all on function public.next_send(bigint,timestamp with time zone) from public;
grant execute on function public.next_send(bigint,timestamp with time zone) to service_role;
grant execute on function public.next_send(bigint,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.note_alive(p_instances jsonb, p_kind text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update instances set alive_at = case when p_kind = 'reconnect' then clock(p_now) else alive_at end,
    answered_at = case when p_kind = 'word' then clock(p_now) else answered_at end where p_instances ? name;
  return '{}';
end $function$;
revoke all on function public.note_alive(jsonb,text,timestamp with time zone) from public;
grant execute on function public.note_alive(jsonb,text,timestamp with time zone) to service_role;
grant execute on function public.note_alive(jsonb,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.note_delivery(p_message public.messages, p_contact bigint, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE sql
AS $function$
  update contact_addresses set delivered_at = p_now, refused_at = null
    where id = address_row(p_contact, p_message.sent_to)
    and (delivered_at is null or delivered_at < p_now - interval '1 hour' or refused_at is not null)
$function$;
revoke all on function public.note_delivery(public.messages,bigint,timestamp with time zone) from public;
grant execute on function public.note_delivery(public.messages,bigint,timestamp with time zone) to service_role;
grant execute on function public.note_delivery(public.messages,bigint,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.note_fault(p_names jsonb, p_fault text)
 RETURNS void
 LANGUAGE sql
 SET search_path TO 'public', 'pg_temp'
AS $function$
  with news as (
    select id from instances where name in (select jsonb_array_elements_text(p_names))
      and gateway_fault is distinct from p_fault order by id for update
  )
  update instances i set gateway_fault = p_fault from news n where i.id = n.id
$function$;
revoke all on function public.note_fault(jsonb,text) from public;
grant execute on function public.note_fault(jsonb,text) to service_role;
grant execute on function public.note_fault(jsonb,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.note_figures(p_process text, p_figures jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update process_status set figures = p_figures where id = p_process;
  return jsonb_build_object('scheduler_seconds', (select extract(epoch from clock(p_now) - max(seen_at))
    from process_status where mode in ('scheduler', 'all')));
end $function$;
revoke all on function public.note_figures(text,jsonb,timestamp with time zone) from public;
grant execute on function public.note_figures(text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.note_figures(text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.note_forward(p_conversation bigint, p_turn bigint, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE sql
AS $function$
  update conversations c set forward_from = least(c.forward_from, f.seq),
    forward_due_at = coalesce(c.forward_due_at, greatest(p_now, c.forwarded_at + interval '1 minute'))
  from (select min(seq) as seq from messages where turn_id = p_turn and direction = 'in') f
    where c.id = p_conversation and f.seq is not null
$function$;
revoke all on function public.note_forward(bigint,bigint,timestamp with time zone) from public;
grant execute on function public.note_forward(bigint,bigint,timestamp with time zone) to service_role;
grant execute on function public.note_forward(bigint,bigint,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.note_gateway(p_version text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_changed int;
begin
  select count(*) into v_changed from instances where gateway_version is distinct from p_version;
  update instances set gateway_version = p_version, gateway_version_at = clock(p_now);
  return jsonb_build_object('changed', v_changed);
end $function$;
revoke all on function public.note_gateway(text,timestamp with time zone) from public;
grant execute on function public.note_gateway(text,timestamp with time zone) to service_role;
grant execute on function public.note_gateway(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.note_instance(p_instance public.instances, p_event text, p_reason text, p_details jsonb, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE sql
AS $function$
  insert into instance_events (tenant_id, instance_id, event, reason, details, created_at)
    values (p_instance.tenant_id, p_instance.id, p_event, p_reason, p_details, p_now)
$function$;
revoke all on function public.note_instance(public.instances,text,text,jsonb,timestamp with time zone) from public;
grant execute on function public.note_instance(public.instances,text,text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.note_instance(public.instances,text,text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.note_minute(p_up boolean, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  insert into sla_minutes as s (minute, up) values (date_trunc('minute', clock(p_now)), p_up)
    on conflict (minute) do update set up = s.up and excluded.up;
  return '{}';
end $function$;
revoke all on function public.note_minute(boolean,timestamp with time zone) from public;
grant execute on function public.note_minute(boolean,timestamp with time zone) to service_role;
grant execute on function public.note_minute(boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.note_withdrawn(p_conversation bigint)
 RETURNS void
 LANGUAGE sql
AS $function$
  update conversations c set deferred_since = coalesce(c.deferred_since, clock(null)), deferred_until = o.at,
      deferred_reason = 'answer_withdrawn'
    from (select max(due_at) as at from outbox where conversation_id = p_conversation
      and reason = 'reply_cap_hour') o
    where c.id = p_conversation and o.at is not null
$function$;
revoke all on function public.note_withdrawn(bigint) from public;
grant execute on function public.note_withdrawn(bigint) to service_role;
grant execute on function public.note_withdrawn(bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.notice_number(p_tenant text, p_about text, p_preferred text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select to_jsonb(name) from instances
  where tenant_id = p_tenant and name is distinct from p_about and status in ('open', 'unknown')
  order by status = 'open' desc, held_reason is null desc, name is not distinct from p_preferred desc, id limit 1
$function$;
revoke all on function public.notice_number(text,text,text) from public;
grant execute on function public.notice_number(text,text,text) to service_role;
grant execute on function public.notice_number(text,text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.notice_status(p_outcome text, p_message text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select case p_outcome when 'deduped' then 'deduped' when 'type_disabled' then 'blocked' else p_message end
$function$;
revoke all on function public.notice_status(text,text) from public;
grant execute on function public.notice_status(text,text) to service_role;
grant execute on function public.notice_status(text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.notice_templates_of(p_tenant text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('company', coalesce((select a.company from agents a where a.tenant_id = p_tenant
      and a.active and a.company is not null order by a.slug <> 'default', a.id limit 1),
      (select t.name from tenants t where t.id = p_tenant and t.id <> 'default')),
    'templates', (select coalesce(jsonb_agg(to_jsonb(n) - 'tenant_id' order by n.type), '[]')
      from notice_templates n where n.tenant_id = p_tenant))
$function$;
revoke all on function public.notice_templates_of(text) from public;
grant execute on function public.notice_templates_of(text) to service_role;
grant execute on function public.notice_templates_of(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.number_events(p_tenant text, p_limit integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_feed event_feeds; v_n int;
begin
  if not exists (select from events where tenant_id = p_tenant and seq is null) then return 0; end if;
  select * into v_feed from event_feeds where tenant_id = p_tenant for update;
  with next as materialized (select id, row_number() over (order by id) as n from (select id from events
      where tenant_id = p_tenant and seq is null order by id limit p_limit) o)
  update events e set seq = v_feed.numbered + next.n from next where e.id = next.id;
  get diagnostics v_n = row_count;
  update event_feeds set numbered = v_feed.numbered + v_n where tenant_id = p_tenant;
  return v_n;
end $function$;
revoke all on function public.number_events(text,integer) from public;
grant execute on function public.number_events(text,integer) to service_role;
grant execute on function public.number_events(text,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.number_health(p_tenant text DEFAULT NULL::text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('instance', i.name, 'tenant', i.tenant_id, 'status', i.status,
    'status_reason', i.status_reason, 'status_at', i.status_at,
    'phone', i.phone, 'gateway_version', i.gateway_version, 'proactive', i.proactive, 'phase', i.phase, 'cap_hour',
      i.cap_hour, 'cap_day', i.cap_day, 'pace_min_seconds', i.pace_min_seconds,
    'pace_max_seconds', i.pace_max_seconds,
    'health', case when i.status in ('close', 'refused', 'connecting') then 'disconnected' when i.held_reason is null
      then 'ok' when i.held_until > clock(p_now) then 'held' else 'on_trial' end,
    'reason', case when i.status in ('close', 'refused', 'connecting') then 'number_disconnected'
      else i.held_reason end,
    'since', case when i.status in ('close', 'refused', 'connecting') then i.status_at when i.held_reason is not null
      then i.held_since end,
    'until', i.held_until, 'in_row', i.held_in_row, 'trust', trust_now(i, clock(p_now)), 'judged', j.judged,
      'delivered', j.delivered, 'refused', j.refused) order by i.id), '[]')
  from instances i, lateral (select count(*) as judged, count(*) filter (where s.delivered) as delivered,
    count(*) filter (where s.refused) as refused
    from judged_sends(i, clock(p_now)) s) j
  where p_tenant is null or i.tenant_id = p_tenant
$function$;
revoke all on function public.number_health(text,timestamp with time zone) from public;
grant execute on function public.number_health(text,timestamp with time zone) to service_role;
grant execute on function public.number_health(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.number_hold(p_instance public.instances, p_reply boolean, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select case
    when p_reply or p_instance.held_reason is null then null
    when p_instance.held_until > p_now then waits(p_instance.held_reason, p_instance.held_until, p_now)
    when exists (select from slots where instance_id = p_instance.id and not reply
        and slot_at >= p_instance.held_until)
      or exists (select from on_wire where instance_id = p_instance.id and is_proactive(kind)
        and slot_at >= p_instance.held_until) then
      looks(p_instance.held_reason, true, p_now + interval '1 minute')
  end
$function$;
revoke all on function public.number_hold(public.instances,boolean,timestamp with time zone) from public;
grant execute on function public.number_hold(public.instances,boolean,timestamp with time zone) to service_role;
grant execute on function public.number_hold(public.instances,boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.number_sent(p_instance_id bigint, p_proactive boolean, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v instances;
begin
  select * into v from instances
    where id = p_instance_id and (held_reason in ('number_unauthorized', 'number_unlicensed')
    or (p_proactive and held_until <= p_now and held_reason not in ('number_undelivered', 'number_few_deliveries',
      'number_error_acks'))) for no key update;
  if found then perform release_number(v, 'left_again', p_now); end if;
end $function$;
revoke all on function public.number_sent(bigint,boolean,timestamp with time zone) from public;
grant execute on function public.number_sent(bigint,boolean,timestamp with time zone) to service_role;
grant execute on function public.number_sent(bigint,boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.number_trouble(p_instance_id bigint, p_trouble jsonb, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v instances;
  v_open boolean;
  v_row int;
  v_trust numeric;
  v_reason text := p_trouble ->> 'reason';
  v_setting boolean := (p_trouble ->> 'trust')::numeric = 0;
  v_until timestamptz;
  v_back timestamptz;
begin
  select * into v from instances where id = p_instance_id for no key update;
  v_open := v.held_reason is not null and v.held_until > p_now;
  v_row := case when v.held_since is null or v.held_since < p_now - interval '1 day' then 0 when v_open
    then v.held_in_row else v.held_in_row + 1 end;
  v_trust := greatest(0, trust_now(v, p_now) - (p_trouble ->> 'trust')::numeric);
  v_until := p_now + least(interval '1 day', make_interval(mins => (p_trouble ->> 'minutes')::int) * case when v_setting
    then 1 else power(2, least(v_row, 10))::float8 end);
  v_back := p_now + make_interval(secs => ceil(greatest(0, 40 - v_trust) / 5 * 3600)::float8);
  if v_back > v_until then
    v_until := v_back;
    v_reason := 'number_trust';
  end if;
  if v_open and v.held_until >= v_until then
    update instances set trust = v_trust, trust_at = p_now where id = v.id;
    return;
  end if;
  update instances set trust = v_trust, trust_at = p_now, held_reason = v_reason, held_since = case when v_open
    then held_since else p_now end,
    held_until = v_until,
    -- what comes next is the next in the row all the same
    held_in_row = case when v_setting and not v_open then v_row - 1 else v_row end where id = v.id returning * into v;
  if not v_open then
    perform note_instance(v, 'held', v_reason, p_trouble || jsonb_build_object('until', v_until, 'trust_now',
      floor(v_trust), 'in_row', v_row), p_now);
    insert into circuit_transitions (tenant_id, breaker, instance, process, state, reason, created_at)
      values (v.tenant_id, 'number', v.name, 'database', 'open', v_reason, p_now);
  end if;
end $function$;
revoke all on function public.number_trouble(bigint,jsonb,timestamp with time zone) from public;
grant execute on function public.number_trouble(bigint,jsonb,timestamp with time zone) to service_role;
grant execute on function public.number_trouble(bigint,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.oldest_in(p_body jsonb)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select to_timestamp(min(case when length(f.found[1]) > 11 then f.found[1]::numeric / 1000
    else f.found[1]::numeric end)::double precision)
    from regexp_matches(p_body::text, '"messageTimestamp": (?:"|\{"low": )?([0-9]{9,13})', 'g') as f (found)
$function$;
revoke all on function public.oldest_in(jsonb) from public;
grant execute on function public.oldest_in(jsonb) to service_role;
grant execute on function public.oldest_in(jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.one_writing(p_digits text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$ select regexp_replace(p_digits, '^(?:(55[1-9]{2})9(?=[6-9]\d{7}$)|(52)1(?=\d{10}$)|(54)9(?=\d{10}$))', '\1\2\3') $function$;
revoke all on function public.one_writing(text) from public;
grant execute on function public.one_writing(text) to service_role;
grant execute on function public.one_writing(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.open_handoff(p_conversation bigint, p_turn bigint, p_reason text, p_summary text, p_controls boolean, p_now timestamp with time zone, p_suggestion text DEFAULT NULL::text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  insert into handoffs (tenant_id, conversation_id, turn_id, reason, summary, suggestion, controls, created_at)
    select tenant_id, id, p_turn, p_reason, p_summary, p_suggestion, p_controls, clock(p_now) from conversations
      where id = p_conversation
    on conflict do nothing;
  if p_controls then
    update conversations set controlled_by = 'human', escalation_reason = p_reason where id = p_conversation;
  end if;
end $function$;
revoke all on function public.open_handoff(bigint,bigint,text,text,boolean,timestamp with time zone,text) from public;
grant execute on function public.open_handoff(bigint,bigint,text,text,boolean,timestamp with time zone,text) to service_role;
grant execute on function public.open_handoff(bigint,bigint,text,text,boolean,timestamp with time zone,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.open_session(p_user bigint, p_password bigint, p_session text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v users; v_now timestamptz := clock(p_now);
begin
  select * into v from users where id = p_user and disabled_at is null for update;
  if not found or p_password <> (select max(id) from user_passwords where user_id = v.id)
    then return jsonb_build_object('outcome', 'no'); end if;
  update users set failures = 0, locked_until = null, logged_in_at = v_now where id = v.id;
  insert into sessions (hash, tenant_id, user_id, created_at, used_at) values (p_session, v.tenant_id, v.id, v_now,
    v_now);
  insert into audit_log (tenant_id, actor, action, subject, created_at)
    values (v.tenant_id, 'console:' || v.email, 'console.login', v.email, v_now);
  return jsonb_build_object('outcome', 'open');
end $function$;
revoke all on function public.open_session(bigint,bigint,text,timestamp with time zone) from public;
grant execute on function public.open_session(bigint,bigint,text,timestamp with time zone) to service_role;
grant execute on function public.open_session(bigint,bigint,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.order_notice(p_request jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_now timestamptz := clock(p_now);
  v_tenant text := p_request ->> 'tenant';
  v_type text := p_request ->> 'type';
  v_test boolean := coalesce((p_request ->> 'test')::boolean, false);
  v_print text := encode(sha256(convert_to(jsonb_build_array(v_type, p_request -> 'phone', p_request -> 'reference',
    p_request -> 'data')::text, 'UTF8')), 'hex');
  v_first bigint;
  v_queued jsonb;
  v_row order_notices;
begin
  perform pg_advisory_xact_lock(hashtextextended(v_tenant || '/' || v_print, 11));
  if not v_test then
    select id into v_first from order_notices where tenant_id = v_tenant and fingerprint = v_print
      and outcome = 'queued' and not test order by id limit 1;
    if v_first is not null or exists (select from notice_templates n where n.tenant_id = v_tenant and n.type = v_type
      and not n.enabled) then
      insert into order_notices (tenant_id, type, reference, phone, data, text, fingerprint, outcome, duplicate_of,
          asked_by, created_at)
        values (v_tenant, v_type, p_request ->> 'reference', p_request ->> 'phone', p_request -> 'data',
          p_request ->> 'text', v_print, case when v_first is null then 'type_disabled' else 'deduped' end, v_first,
          p_request ->> 'actor', v_now)
        returning * into v_row;
      return jsonb_build_object('notice', order_notice_row(v_row), 'lane', null);
    end if;
  end if;
  v_queued := enqueue_message(p_request || '{"kind": "transactional"}', p_now);
  insert into order_notices (tenant_id, type, reference, phone, data, text, fingerprint, outcome, message_id, test,
      asked_by, created_at)
    values (v_tenant, v_type, p_request ->> 'reference', p_request ->> 'phone', p_request -> 'data',
      p_request ->> 'text', v_print, 'queued', (v_queued ->> 'id')::bigint, v_test, p_request ->> 'actor', v_now)
    returning * into v_row;
  if coalesce((p_request ->> 'by_hand')::boolean, false) then
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (v_tenant, p_request ->> 'actor', 'notice.send', v_row.id::text,
        jsonb_build_object('type', v_type, 'test', v_test), v_now);
  end if;
  return jsonb_build_object('notice', order_notice_row(v_row), 'lane', v_queued -> 'conversation_id');
end $function$;
revoke all on function public.order_notice(jsonb,timestamp with time zone) from public;
grant execute on function public.order_notice(jsonb,timestamp with time zone) to service_role;
grant execute on function public.order_notice(jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.order_notice_row(p_notice public.order_notices)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('id', p_notice.id, 'type', p_notice.type, 'reference', p_notice.reference,
    'to', p_notice.phone, 'data', p_notice.data, 'text', p_notice.text,
    'status', notice_status(p_notice.outcome, m.status),
    'reason', case p_notice.outcome when 'deduped' then 'duplicate' when 'type_disabled' then 'type_disabled'
      else m.reason end,
    'error_class', m.error_class, 'message_id', p_notice.message_id, 'duplicate_of', p_notice.duplicate_of,
    'resend_of', p_notice.resend_of, 'test', p_notice.test, 'asked_by', p_notice.asked_by,
    'created_at', p_notice.created_at, 'goes_at', case when m.id is not null then promised_at(m) end,
    'instance', (select i.name from instances i where i.id = m.instance_id),
    'provider_message_id', m.provider_id, 'attempts', m.attempts,
    'sent_at', case when m.provider_id is not null then m.provider_at end, 'delivered_at', m.delivered_at,
    'read_at', m.read_at, 'expires_at', m.expires_at)
  from (select 1) one left join messages m on m.id = p_notice.message_id
$function$;
revoke all on function public.order_notice_row(public.order_notices) from public;
grant execute on function public.order_notice_row(public.order_notices) to service_role;
grant execute on function public.order_notice_row(public.order_notices) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.own_chat(p_instance public.instances, p_chat jsonb, p_alt jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_chat bigint; v_alt bigint;
begin
  if coalesce(jsonb_typeof(p_alt), 'null') = 'null' or p_alt ->> 'pn' = p_instance.phone then return p_chat; end if;
  v_alt := contact_at(p_instance, p_alt ->> 'pn', p_alt ->> 'lid');
  if v_alt is null then return p_chat; end if;
  v_chat := contact_at(p_instance, p_chat ->> 'pn', p_chat ->> 'lid');
  return case when v_chat is null or not exists (select from conversations
    where contact_id = v_chat and last_inbound_at is not null) then p_alt else p_chat end;
end $function$;
revoke all on function public.own_chat(public.instances,jsonb,jsonb) from public;
grant execute on function public.own_chat(public.instances,jsonb,jsonb) to service_role;
grant execute on function public.own_chat(public.instances,jsonb,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.own_facts(p_conversation public.conversations, p_text text, p_key text, p_at timestamp with time zone, p_self bigint, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_second timestamptz := date_trunc('second', p_at);
  v_said messages;         -- our last words before it
  v_asked messages;        -- the first words of the contact that wait for an answer
  v_mid boolean;
  v_first_send timestamptz;
  v_newest timestamptz;    -- the contact wrote last
  v_facts jsonb;
begin
  select * into v_said from messages m where m.conversation_id = p_conversation.id and m.direction = 'out'
    and m.author <> 'automatic' and m.type <> 'reaction'
      and m.status in ('sending', 'sent', 'delivered', 'read', 'uncertain', 'unproven') and m.id is distinct from p_self
        and date_trunc('second', said_at(m)) <= v_second
      and m.seq > p_conversation.last_seq - 200
    order by date_trunc('second', said_at(m)) desc, m.seq desc limit 1;
  v_said.provider_at := said_at(v_said);
  -- the beginning of the newest run of messages without an answer: what was left without one long before is another
  -- talk
  select q.* into v_asked from messages q where q.id = (select r.id from (
      select m.id, m.provider_at, m.seq, lag(m.provider_at) over (order by date_trunc('second', m.provider_at),
        m.seq) as before
      from messages m where m.conversation_id = p_conversation.id and m.direction = 'in' and m.type <> 'reaction'
        and m.seq > p_conversation.last_seq - 200
        and date_trunc('second', m.provider_at) between p_at - interval '1 day' and v_second
        and (v_said.id is null or (date_trunc('second', m.provider_at),
          m.seq) > (date_trunc('second', v_said.provider_at), v_said.seq))) r
    where r.before is null or r.provider_at - r.before > interval '10 minutes'
      order by date_trunc('second', r.provider_at) desc, r.seq desc limit 1);
  v_mid := exists (select from messages m where m.conversation_id = p_conversation.id
    and m.seq > p_conversation.last_seq - 200
    and m.author <> 'automatic' and m.type <> 'reaction' and m.id is distinct from p_self
    and m.id <> v_asked.id and m.provider_at > v_asked.provider_at - interval '10 minutes'
    and (date_trunc('second', m.provider_at), m.seq) < (date_trunc('second', v_asked.provider_at), v_asked.seq));
  if v_said.kind is not null and not exists (select from messages m
    where m.conversation_id = p_conversation.id and m.direction = 'out' and m.seq < v_said.seq
      and m.seq > p_conversation.last_seq - 200
      and m.author <> 'automatic' and m.provider_at > v_said.provider_at - interval '14 days'
        and m.status in ('sending', 'sent', 'delivered', 'read', 'uncertain', 'unproven')) then
    v_first_send := v_said.provider_at;
  end if;
  v_newest := (select max(m.provider_at) from messages m where m.conversation_id = p_conversation.id
    and m.direction = 'in'
    and m.type <> 'reaction' and m.seq > p_conversation.last_seq - 200
    and date_trunc('second', m.provider_at) <= v_second);
  v_facts := jsonb_build_object('since', extract(epoch from v_second - date_trunc('second', v_newest))::int, 'chars',
    coalesce(length(p_text), 0), 'attended', conversation_holder(p_conversation, p_now) <> 'agent',
    'waited', extract(epoch from v_second - date_trunc('second', v_asked.provider_at))::int, 'mid',
      coalesce(v_mid, false),
    'after_send', extract(epoch from v_second - date_trunc('second', v_first_send))::int);
  return v_facts || (select jsonb_build_object(
      'known', count(*) filter (where m.author = 'automatic' and m.reason = 'greeting' and o.begins
        and o.waited <= 5) >= 2,
      'prompt', count(*) filter (where o.begins and o.waited <= 5),
      'sent_prompt', count(*) filter (where o.after_send <= 5),
      'steady', count(*) filter (where o.begins and o.waited <= 15
        and abs(o.waited - (v_facts ->> 'waited')::int) <= 2),
      'near', count(distinct m.conversation_id) filter (where m.conversation_id <> p_conversation.id
        and abs(extract(epoch from m.provider_at - p_at)) <= 3),
      'chats', count(distinct m.conversation_id) filter (where m.conversation_id <> p_conversation.id and o.lately),
      'unasked', count(distinct m.conversation_id) filter (where m.conversation_id <> p_conversation.id and o.lately
        and not o.asked) + (not coalesce(v_newest > p_at - interval '1 hour', false))::int)
    from messages m, lateral (select (m.meaning ->> 'waited')::int as waited, m.meaning ->> 'waited' is not null
      and not (m.meaning ->> 'mid')::boolean as begins,
      (m.meaning ->> 'after_send')::int as after_send, coalesce((m.meaning ->> 'since')::int <= 3600, false) as asked,
        abs(extract(epoch from m.provider_at - p_at)) <= 600 as lately) o
    where m.instance_id = p_conversation.instance_id and m.kind is null and m.meaning ? 'own_words'
      and m.meaning ->> 'own_words' = p_key and m.id is distinct from p_self
      and m.provider_at > p_at - interval '60 days');
end $function$;
revoke all on function public.own_facts(public.conversations,text,text,timestamp with time zone,bigint,timestamp with time zone) from public;
grant execute on function public.own_facts(public.conversations,text,text,timestamp with time zone,bigint,timestamp with time zone) to service_role;
grant execute on function public.own_facts(public.conversations,text,text,timestamp with time zone,bigint,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.own_words(p_text text, p_name text)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_words text[] := folded_words(p_text); v_name text[] := folded_words(p_name); v_left text;
begin
  select string_agg(w, ' ' order by n) into v_left from unnest(v_words) with ordinality as x (w, n)
    where w <> all (coalesce(v_name, '{}')) and w not in ('dia', 'tarde', 'noite', 'bom', 'boa');
  return case when length(v_left) >= 12 then md5(v_left) end;
end $function$;
revoke all on function public.own_words(text,text) from public;
grant execute on function public.own_words(text,text) to service_role;
grant execute on function public.own_words(text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.pair_facts(p_instance public.instances, p_pn text, p_lid text, p_sent_at timestamp with time zone, p_from jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_pn contact_addresses; v_lid contact_addresses; v_alone boolean := speaks_alone(p_from);
begin
  select * into v_pn from contact_addresses where kind = 'pn' and tenant_id = p_instance.tenant_id and address = p_pn;
  select * into v_lid from contact_addresses where kind = 'lid' and instance_id = p_instance.id and address = p_lid;
  return jsonb_build_object('pn', v_pn.contact_id, 'lid', v_lid.contact_id, 'old',
    p_sent_at < date_trunc('second', v_pn.moved_at),
    'other_lid', exists (select from contact_addresses where contact_id = v_pn.contact_id and kind = 'lid'
      and instance_id = p_instance.id and address <> p_lid),
    'other_pn', exists (select from contact_addresses where contact_id = v_lid.contact_id and kind = 'pn'
      and address <> p_pn),
    'pn_elsewhere', v_alone and known_elsewhere(v_pn.contact_id, p_instance.id),
    'lid_elsewhere', v_alone and known_elsewhere(v_lid.contact_id, p_instance.id),
    'parted', exists (select from contact_merges where kept = least(v_pn.contact_id, v_lid.contact_id)
      and merged = greatest(v_pn.contact_id, v_lid.contact_id) and undone_at is not null));
end $function$;
revoke all on function public.pair_facts(public.instances,text,text,timestamp with time zone,jsonb) from public;
grant execute on function public.pair_facts(public.instances,text,text,timestamp with time zone,jsonb) to service_role;
grant execute on function public.pair_facts(public.instances,text,text,timestamp with time zone,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.passages_by_id(p_tenant text, p_ids jsonb)
 RETURNS json
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(json_agg(json_build_object('id', c.id, 'name', k.name, 'heading', c.heading, 'text', c.text,
    'score', 0) order by i.n), '[]')
    from jsonb_array_elements_text(p_ids) with ordinality i (id, n) join knowledge_chunks c on c.id = i.id::bigint
      join knowledge k on k.id = c.knowledge_id
    where c.tenant_id = p_tenant
$function$;
revoke all on function public.passages_by_id(text,jsonb) from public;
grant execute on function public.passages_by_id(text,jsonb) to service_role;
grant execute on function public.passages_by_id(text,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.passed_over(p_conversation public.conversations)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  with tries as (
    select t.started_at from turns t where t.conversation_id = p_conversation.id and t.status = 'deferred'
      and t.started_at >= p_conversation.deferred_since
      and t.reason not in ('model_breaker_open', 'model_rate_limited') order by t.started_at desc limit 10)
  select exists (select from turns o where o.started_at >= p_conversation.deferred_since and o.status = 'committed'
    and o.model is not null
      and o.ended_at < (select min(started_at) from tries having count(*) = 10))
$function$;
revoke all on function public.passed_over(public.conversations) from public;
grant execute on function public.passed_over(public.conversations) to service_role;
grant execute on function public.passed_over(public.conversations) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.pause_campaign(p_tenant text, p_name text, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v campaigns;
begin
  select * into v from campaigns where tenant_id = p_tenant and name = p_name for no key update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v.status not in ('scheduled', 'running') then
    return jsonb_build_object('outcome', 'state', 'status', v.status);
  end if;
  perform hold_campaign(v, null, p_actor, clock(p_now));
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'campaign.pause', v.name, jsonb_build_object('reason', p_reason), clock(p_now));
  select * into v from campaigns where id = v.id;
  return jsonb_build_object('outcome', 'done', 'campaign', campaign_row(v));
end $function$;
revoke all on function public.pause_campaign(text,text,text,text,timestamp with time zone) from public;
grant execute on function public.pause_campaign(text,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.pause_campaign(text,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.pause_reason(p_tenant text, p_instance text, p_conversation bigint, p_campaign text)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  -- one statement: a call of pause_status for each costs as much as all the rest of a claim
  return (select s.scope from (values ('all', ''), ('tenant', p_tenant), ('instance', p_instance),
      ('conversation', p_conversation::text), ('campaign', p_campaign)) as s (scope, target)
    where (select j.status from julia_status j where j.scope = s.scope and j.target = s.target
      and (s.scope <> 'campaign' or j.tenant_id = p_tenant) order by j.id desc limit 1) = 'pausado' limit 1);
end $function$;
revoke all on function public.pause_reason(text,text,bigint,text) from public;
grant execute on function public.pause_reason(text,text,bigint,text) to service_role;
grant execute on function public.pause_reason(text,text,bigint,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.pause_status(p_scope text, p_target text, p_tenant text)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  return (select j.status from julia_status j where j.scope = p_scope and j.target = p_target
    and (p_scope <> 'campaign' or j.tenant_id = p_tenant) order by j.id desc limit 1);
end $function$;
revoke all on function public.pause_status(text,text,text) from public;
grant execute on function public.pause_status(text,text,text) to service_role;
grant execute on function public.pause_status(text,text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.pauses(p_tenant text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('scope', s.scope, 'target', s.target, 'motivo', s.motivo, 'alterado_via',
    s.alterado_via, 'since', s.created_at) order by s.id desc), '[]')
  from (select distinct on (scope, target, owner) *
    from (select *, case scope when 'campaign' then tenant_id end as owner from julia_status) j
    order by scope, target, owner, id desc) s
  where s.status = 'pausado' and case s.scope
    when 'all' then true
    when 'tenant' then s.target = p_tenant
    when 'instance' then exists (select 1 from instances i where i.name = s.target and i.tenant_id = p_tenant)
    when 'conversation' then exists (select 1 from conversations c
      where c.id::text = s.target and c.tenant_id = p_tenant)
    else s.tenant_id = p_tenant end
$function$;
revoke all on function public.pauses(text) from public;
grant execute on function public.pauses(text) to service_role;
grant execute on function public.pauses(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.pay_summary(p_conversation bigint, p_calls jsonb, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_turn turns; v_instance bigint; v_tenant text;
begin
  if coalesce(jsonb_array_length(p_calls), 0) = 0 then return; end if;
  select instance_id, tenant_id into v_instance, v_tenant from conversations where id = p_conversation;
  select * into v_turn from turns where conversation_id = p_conversation and status in ('committed', 'handed_over')
    order by id desc limit 1;
  insert into model_calls (tenant_id, turn_id, model, outcome, ms, input_tokens, output_tokens, thinking_tokens,
    cache_read_tokens, cache_write_tokens, cost_usd, estimated, detail, cache_miss)
    select v_tenant, v_turn.id, r.model, r.outcome, r.ms, coalesce(r.input_tokens, 0), coalesce(r.output_tokens, 0),
      coalesce(r.thinking_tokens, 0), coalesce(r.cache_read_tokens, 0), coalesce(r.cache_write_tokens, 0), r.cost_usd,
      coalesce(r.estimated, false), 'summary', null from model_calls_of(jsonb_build_object('model_calls', p_calls)) r;
  update turns t set cost_usd = t.cost_usd + s.usd, unpriced_calls = t.unpriced_calls + s.unpriced
    from (select coalesce(sum(cost_usd), 0) as usd, count(*) filter (where cost_usd is null) as unpriced
      from model_calls_of(jsonb_build_object('model_calls', p_calls))) s where t.id = v_turn.id;
  perform add_spend(v_tenant, 'summaries', v_instance, sum(r.cost_usd), count(*)::int,
      (count(*) filter (where r.cost_usd is null))::int, 0, p_now)
    from model_calls_of(jsonb_build_object('model_calls', p_calls)) r;
end $function$;
revoke all on function public.pay_summary(bigint,jsonb,timestamp with time zone) from public;
grant execute on function public.pay_summary(bigint,jsonb,timestamp with time zone) to service_role;
grant execute on function public.pay_summary(bigint,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.pending_since(p_instance text, p_pn text, p_lid text, p_from jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('conversation_id', c.id, 'first_pending_at', min(m.created_at), 'newest_at',
    max(m.created_at), 'now', clock(p_now))
  from instances i
    join contact_addresses a on (a.kind = 'pn' and a.tenant_id = i.tenant_id and a.address = p_pn)
      or (a.kind = 'lid' and a.instance_id = i.id and a.address = p_lid)
    join conversations c on c.instance_id = i.id and c.contact_id = a.contact_id
    join inbox m on m.conversation_id = c.id
  where i.name = p_instance and speaks_for(p_from, i, clock(p_now)) and not exists (select 1 from turns t
    where t.conversation_id = c.id and t.status = 'open')
  group by c.id limit 1
$function$;
revoke all on function public.pending_since(text,text,text,jsonb,timestamp with time zone) from public;
grant execute on function public.pending_since(text,text,text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.pending_since(text,text,text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.plain_receipts(p_heard public.heard_event[], p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
declare v_all jsonb;
begin
  with told as materialized (
      select w.n, w.kind, w.event ->> 'status' as status, m.id, m.conversation_id, m.correlation_id, m.delivered_at,
        m.sent_to
      from unnest(p_heard) w
        cross join lateral (select count(*) as n, min(x.id) as id from messages x
          where x.instance_id = w.instance_id and x.provider_id = w.provider_id) k
        join messages m on m.id = k.id
      where w.plain and k.n = 1 and m.kind is not null and m.status in ('sent', 'delivered', 'read')
        and case w.kind when 'ack' then w.event ->> 'status' in ('delivered', 'read')
          else w.from_me and not exists (select from early_updates u
            where u.instance_id = w.instance_id and u.provider_id = w.provider_id) end
        -- of what else is said of it the order counts
        and not exists (select from unnest(p_heard) o where o.provider_id = w.provider_id
          and o.instance_id = w.instance_id and not (o.plain and case o.kind when 'ack'
            then o.event ->> 'status' in ('delivered', 'read') else o.from_me end))),
    further as (
      update messages m set status = case when a.is_read then 'read' else 'delivered' end, reason = null,
          error_class = null, read_at = case when a.is_read then p_now else m.read_at end,
          delivered_at = case when a.is_read then coalesce(m.delivered_at, p_now) else p_now end
        from (select t.id, bool_or(t.status = 'read') as is_read from told t where t.kind = 'ack' group by 1) a
        where m.id = a.id and case when a.is_read then m.status <> 'read' else m.status = 'sent' end),
    reached as (
      -- as note_delivery
      update contact_addresses a set delivered_at = p_now, refused_at = null
        from (select distinct address_row(c.contact_id, t.sent_to) as id from told t
          join conversations c on c.id = t.conversation_id where t.kind = 'ack' and t.delivered_at is null) r
        where a.id = r.id
          and (a.delivered_at is null or a.delivered_at < p_now - interval '1 hour' or a.refused_at is not null))
  select jsonb_object_agg(t.n, jsonb_build_object('outcome', case t.kind when 'ack' then 'ack' else 'echo' end,
      'conversation_id', t.conversation_id, 'message_id', t.id, 'correlation_id', t.correlation_id, 'wake', false)
      || case t.kind when 'ack' then '{"wake_send": null}' else '{}'::jsonb end)
    into v_all from told t;
  return coalesce(v_all, '{}');
end $function$;
revoke all on function public.plain_receipts(public.heard_event[],timestamp with time zone) from public;
grant execute on function public.plain_receipts(public.heard_event[],timestamp with time zone) to service_role;
grant execute on function public.plain_receipts(public.heard_event[],timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.plain_words(p_heard public.heard_event[], p_done jsonb, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
declare v_all jsonb;
begin
  with words as materialized (
      select w.*, least((w.event ->> 'sentAt')::timestamptz, p_now) as sent_at from unnest(p_heard) w
      where w.plain and w.kind = 'message' and not w.from_me and not w.event ? 'revised'
        and coalesce(jsonb_typeof(w.event -> 'meaning'), 'null') = 'null'
        and not coalesce((w.event ->> 'machine')::boolean, false)
        and not coalesce((w.event -> 'content' ->> 'wordless')::boolean, false)
        and not exists (select from messages m where m.instance_id = w.instance_id and m.provider_id = w.provider_id)
        and not exists (select from early_updates u where u.instance_id = w.instance_id
          and u.provider_id = w.provider_id)
        and not exists (select from erasures e where e.tenant_id = w.tenant_id)),
    known as materialized (
      select w.*, c.id as conversation_id, c.contact_id, c.last_seq
      from words w
        left join contact_addresses p on p.kind = 'pn' and p.tenant_id = w.tenant_id and p.address = w.pn
        left join contact_addresses l on l.kind = 'lid' and l.instance_id = w.instance_id and l.address = w.lid
        join contacts k on k.id = coalesce(p.contact_id, l.contact_id)
        join conversations c on c.instance_id = w.instance_id and c.contact_id = k.id
      where (w.pn is null or p.contact_id = k.id) and (w.lid is null or l.contact_id = k.id)
        and (w.pn is null or w.lid is null or l.vouched_phone = w.pn or not w.for_all)
        and k.merged_into is null and k.erased_at is null and (k.name is not null or w.event ->> 'pushName' is null)
        and c.jid = w.event ->> 'jid' and coalesce(c.takeover_until <= p_now, true)
        and not exists (select from outbox o where o.conversation_id = c.id)
        and not exists (select from drafts d where d.conversation_id = c.id)),
    once as materialized (
      select * from (select *, count(*) over (partition by instance_id, provider_id) as copies from known) k
      where k.copies = 1),
    -- what else is said of people in this batch, and is not settled yet
    others as materialized (
      select o.*, a.contact_id
      from unnest(p_heard) o
        left join lateral (select contact_id from named_in(array[o])) a on o.kind <> 'ack' -- of an id, whoever has it
      where o.kind in ('message', 'reaction', 'edit', 'delete', 'ack') and not p_done ? o.n::text
        and not exists (select from once k where k.n = o.n)),
    ready as materialized (
      select k.*, row_number() over (partition by k.conversation_id order by k.n) as again,
        (select x.created_at from inbox x where x.conversation_id = k.conversation_id
          order by x.seq limit 1) as first_at
      from once k
      where not exists (select from others o where o.contact_id = k.contact_id
          or (o.pn is null and o.lid is null and o.kind <> 'ack'))
        and not exists (select from once x join others o on o.provider_id = x.provider_id
          where x.contact_id = k.contact_id)),
    stored as (
      insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, typed,
          media, provider_id, provider_at, quoted_id, quoted_text, correlation_id, created_at)
        select r.tenant_id, r.instance_id, r.conversation_id, r.last_seq + r.again, 'in', 'contact',
          r.event -> 'content' ->> 'type', 'received', r.event -> 'content' ->> 'text',
          r.event -> 'content' ->> 'typed', nullif(r.event -> 'content' -> 'media', 'null'), r.provider_id, r.sent_at,
          r.event -> 'quoted' ->> 'providerId', r.event -> 'quoted' ->> 'text', r.request_id, p_now
        from ready r order by r.n returning id, conversation_id, seq),
    counted as (
      update conversations c set last_seq = c.last_seq + s.n, inbound_seq = c.inbound_seq + s.n,
          last_inbound_at = greatest(c.last_inbound_at, s.at)
        from (select conversation_id, count(*) as n, max(sent_at) as at from ready group by 1) s
        where c.id = s.conversation_id)
  select jsonb_object_agg(r.n, jsonb_build_object('conversation_id', r.conversation_id, 'message_id', s.id, 'outcome',
      'stored', 'wake', true, 'wake_turns', null, 'first_pending_at', coalesce(r.first_at, p_now), 'inbound_at', p_now,
      'contact_id', r.contact_id, 'age_seconds', extract(epoch from p_now - r.sent_at)))
    into v_all
    from ready r join stored s on s.conversation_id = r.conversation_id and s.seq = r.last_seq + r.again;
  return coalesce(v_all, '{}');
end $function$;
revoke all on function public.plain_words(public.heard_event[],jsonb,timestamp with time zone) from public;
grant execute on function public.plain_words(public.heard_event[],jsonb,timestamp with time zone) to service_role;
grant execute on function public.plain_words(public.heard_event[],jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.preview_campaign(p_tenant text, p_name text, p_policy jsonb, p_shop text, p_default text, p_choose boolean, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_now timestamptz := clock(p_now);
  v campaigns;
  v_goes int;
  v_result jsonb;
  v_numbers instances[];
  v_at timestamptz;
begin
  select * into v from campaigns where tenant_id = p_tenant and name = p_name;
  if not found then return null; end if;
  with all_of as materialized (select * from campaign_audience(v, p_policy, v_now)),
    skipped as (select a.reason, count(*) as n from all_of a where a.reason is not null group by 1),
    later as (select a.later, count(*) as n from all_of a where a.reason is null and a.later is not null group by 1)
  select jsonb_build_object('goes', (select count(*) from all_of a where a.reason is null),
    'skipped', (select coalesce(jsonb_object_agg(s.reason, s.n), '{}') from skipped s),
    'later', (select coalesce(jsonb_object_agg(l.later, l.n), '{}') from later l),
    'samples', (select coalesce(jsonb_agg(jsonb_build_object('phone', x.phone, 'text', campaign_words(v.text, x.name,
      p_shop)) order by x.contact_id), '[]') from (select * from all_of a where a.reason is null
      order by a.contact_id limit 3) x)) into v_result;
  v_goes := (v_result ->> 'goes')::int;
  select array_agg(i order by i.id) into v_numbers from instances i where i.tenant_id = p_tenant
    and (i.id = v.instance_id or (v.instance_id is null and p_choose and i.proactive));
  if v_numbers is null then
    select array_agg(i) into v_numbers from instances i where i.tenant_id = p_tenant and i.name = p_default;
  end if;
  if v_goes > 0 and v_numbers is not null then
    select max(send_forecast(i, ceil(v_goes::numeric / cardinality(v_numbers))::int, p_policy, v_now)) into v_at
      from unnest(v_numbers) i;
  end if;
  return v_result || jsonb_build_object('campaign', campaign_row(v), 'last_at', v_at,
    'numbers', (select coalesce(jsonb_agg(i.name), '[]') from unnest(v_numbers) i));
end $function$;
revoke all on function public.preview_campaign(text,text,jsonb,text,text,boolean,timestamp with time zone) from public;
grant execute on function public.preview_campaign(text,text,jsonb,text,text,boolean,timestamp with time zone) to service_role;
grant execute on function public.preview_campaign(text,text,jsonb,text,text,boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.promised_at(p_message public.messages)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select case when p_message.status = 'queued'
    then coalesce(p_message.goes_at, case when p_message.reason is null
      or p_message.reason in ('typing', 'retried_by_hand', 'proven_not_sent')
    then p_message.due_at end) end
$function$;
revoke all on function public.promised_at(public.messages) from public;
grant execute on function public.promised_at(public.messages) to service_role;
grant execute on function public.promised_at(public.messages) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.publish_agent(p_tenant text, p_slug text, p_version integer, p_actor text, p_reason text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_before int; v_active boolean;
begin
  perform from agents where tenant_id = p_tenant and slug = p_slug for no key update;
  select version into v_before from agents where tenant_id = p_tenant and slug = p_slug and active;
  select active into v_active from agents where tenant_id = p_tenant and slug = p_slug and version = p_version;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v_active then return jsonb_build_object('outcome', 'in_force', 'version', p_version, 'before', v_before); end if;
  update agents set active = true where tenant_id = p_tenant and slug = p_slug and version = p_version;
  insert into audit_log (tenant_id, actor, action, subject, details) values (p_tenant, p_actor, 'agent.published',
    p_slug, jsonb_build_object('version', p_version, 'before', v_before, 'reason', p_reason));
  return jsonb_build_object('outcome', 'published', 'version', p_version, 'before', v_before);
end $function$;
revoke all on function public.publish_agent(text,text,integer,text,text) from public;
grant execute on function public.publish_agent(text,text,integer,text,text) to service_role;
grant execute on function public.publish_agent(text,text,integer,text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.purge_audit(p_before timestamp with time zone, p_limit integer)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_n int;
begin
  delete from audit_log where id in (select id from audit_log
    where created_at < least(p_before, now() - interval '30 days') and p_before is not null order by created_at
    limit p_limit);
  get diagnostics v_n = row_count;
  return v_n;
end $function$;
revoke all on function public.purge_audit(timestamp with time zone,integer) from public;
grant execute on function public.purge_audit(timestamp with time zone,integer) to service_role;
grant execute on function public.purge_audit(timestamp with time zone,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.purge_events(p_before timestamp with time zone, p_limit integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_feed event_feeds; v_gone bigint; v_n int := 0; v_last bigint;
begin
  if p_before is null then return 0; end if;
  for v_feed in select * from event_feeds order by tenant_id loop
    if v_feed.kept and v_feed.read_at < p_before and not exists (select from subscriptions s
      where s.tenant_id = v_feed.tenant_id and s.status = 'active') then
      update event_feeds set kept = false where tenant_id = v_feed.tenant_id and read_at < p_before;
    end if;
    if not exists (select from events where id = (select min(id) from events where tenant_id = v_feed.tenant_id)
      and created_at < p_before) then continue; end if;
    perform number_events(v_feed.tenant_id, p_limit);
    with old as (select id from events where tenant_id = v_feed.tenant_id and seq is not null order by seq
        limit p_limit),
      gone as (delete from events e using old where e.id = old.id and e.created_at < p_before returning e.seq)
      select max(seq), count(*) into v_last, v_gone from gone;
    update event_feeds set gone = greatest(gone, v_last) where tenant_id = v_feed.tenant_id and v_last is not null;
    v_n := greatest(v_n, v_gone::int);
  end loop;
  return v_n;
end $function$;
revoke all on function public.purge_events(timestamp with time zone,integer) from public;
grant execute on function public.purge_events(timestamp with time zone,integer) to service_role;
grant execute on function public.purge_events(timestamp with time zone,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.purge_old(p_ages jsonb, p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_counts int[] := '{}'; v_n int; v_now timestamptz := clock(p_now);
  v_webhooks timestamptz := v_now - nullif((p_ages ->> 'webhooks')::int, 0) * interval '1 day';
  v_jobs timestamptz := v_now - nullif((p_ages ->> 'jobs')::int, 0) * interval '1 day';
  v_transcripts timestamptz := v_now - nullif((p_ages ->> 'transcripts')::int, 0) * interval '1 day';
  v_messages timestamptz := v_now - nullif((p_ages ->> 'messages')::int, 0) * interval '1 day';
  v_audit timestamptz := v_now - nullif((p_ages ->> 'audit')::int, 0) * interval '1 day';
  v_slots timestamptz := slot_hour(v_now - interval '3 days');
begin
  delete from webhook_events where id in (select id from webhook_events where received_at < v_webhooks
    order by received_at limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from early_updates where id in (select id from early_updates where created_at < v_now - interval '1 day'
    order by created_at limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  -- a number that was restored compares from its backup on, however long ago that was
  delete from forged_messages where (instance_id, hash) in (select f.instance_id, f.hash from forged_messages f
    join instances i on i.id = f.instance_id where f.until < v_now and i.restored_at is null limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from job_runs where id in (select id from job_runs where started_at < v_jobs order by started_at
    limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from circuit_transitions where id in (select id from circuit_transitions where created_at < v_jobs order by id
    limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from notices where id in (select id from notices where created_at < v_jobs and status in ('sent', 'failed')
    order by created_at limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from alerts where id in (select id from alerts where status = 'ok' and since < v_jobs limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from sla_minutes where minute in (select minute from sla_minutes where minute < v_now - interval '400 days'
    order by minute limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from process_status where seen_at < v_now - interval '1 day';
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from set_aside where id in (select a.id from set_aside a where a.last_at < v_jobs and not exists (select
    from webhook_events w where w.aside_id = a.id) limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from tokens where id in (select id from tokens where expires_at < v_jobs order by expires_at limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from sessions s where not session_counts(s, v_now);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  v_counts := v_counts || purge_audit(v_audit, p_limit);
  -- a reader is told that it has missed some
  v_counts := v_counts || purge_events(v_now - interval '14 days', p_limit);
  -- no cap and no figure looks at slots of answers, or at sums, of before
  delete from slots where (instance_id, reply, slot_at, message_id) in (select s.instance_id, s.reply, s.slot_at,
    s.message_id from instances i cross join lateral (select * from slots o where o.instance_id = i.id and o.reply
      and o.slot_at < v_slots order by o.slot_at limit p_limit) s limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  -- of who was erased: see keep_sends
  delete from slots where (instance_id, reply, slot_at, message_id) in (select s.instance_id, s.reply, s.slot_at,
    s.message_id from instances i cross join lateral (select * from slots o where o.instance_id = i.id and not o.reply
      and o.slot_at between v_slots - interval '7 days' and v_slots and not exists (select from messages m
        where m.id = o.message_id) order by o.slot_at limit p_limit) s limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from slot_minutes where (instance_id, reply, minute) in (select s.instance_id, s.reply, s.minute
    from slot_minutes s where s.minute < v_slots limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from slot_hours where (instance_id, hour) in (select s.instance_id, s.hour from slot_hours s
    where s.hour < v_slots limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  -- The oldest rows have the lowest ids: only those are looked at, so no index is needed and an early end costs
  -- nothing.
  delete from tool_calls where id in (select id from (select id, created_at from tool_calls order by id
    limit p_limit) oldest where created_at < v_messages);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  with old as (select id from (select id, ended_at from tool_writes order by id limit p_limit) oldest
      where ended_at < v_messages),
    gone as (delete from approvals a using old where a.write_id = old.id)
  delete from tool_writes w using old where w.id = old.id;
  delete from reminders where id in (select id from (select id, ended_at from reminders order by id limit p_limit)
    oldest where ended_at < v_messages);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from follow_ups where id in (select id from (select id, ended_at from follow_ups order by id limit p_limit)
    oldest where ended_at < v_messages);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from messages where id in (select id from (select id, created_at, status from messages order by id
    limit p_limit) oldest
    where created_at < v_messages and status not in ('received', 'queued', 'sending', 'uncertain')
      and not exists (select 1 from notices n where n.message_id = oldest.id));
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from summaries where id in (select id from (select id, created_at from summaries order by id
    limit p_limit) oldest where created_at < v_messages);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  -- the others go with their message
  delete from order_notices where id in (select id from order_notices where message_id is null
    and duplicate_of is null and created_at < v_messages order by id limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  -- what a file says goes with the last message that brought it, or when nobody has come to write it there
  delete from media where id in (select d.id from (select * from media order by id limit p_limit) d
    where d.created_at < v_now - interval '1 day' and not exists (select from messages m
      where m.tenant_id = d.tenant_id and m.media ? 'sha256' and m.media ->> 'sha256' = d.sha256));
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  update turns set transcript = null
    where id in (select id from turns where transcript is not null and ended_at < greatest(v_transcripts, v_messages)
    order by ended_at limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  return (select jsonb_build_object('deleted', sum(n), 'most', max(n)) from unnest(v_counts) as n);
end $function$;
revoke all on function public.purge_old(jsonb,integer,timestamp with time zone) from public;
grant execute on function public.purge_old(jsonb,integer,timestamp with time zone) to service_role;
grant execute on function public.purge_old(jsonb,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.put_aside(p_name text, p_provider_id text, p_reason text, p_tenant text, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_aside set_aside; v_new boolean := false; v_known text;
begin
  update set_aside set webhooks = webhooks + 1, last_at = clock(p_now), reason = p_reason
    where name = p_name and tenant_id = p_tenant and coalesce(provider_id, '') = coalesce(p_provider_id, '')
    returning * into v_aside;
  if not found then
    if (select count(*) from set_aside where tenant_id = p_tenant) >= 200
      then return jsonb_build_object('outcome', 'ignored', 'reason', 'too_many_unknown', 'refused',
      p_reason <> 'nobodys_number', 'entry', true, 'wake', false); end if;
    insert into set_aside (tenant_id, name, provider_id, reason, first_at, last_at)
      values (p_tenant, p_name, p_provider_id, p_reason, clock(p_now), clock(p_now)) on conflict do nothing
      returning * into v_aside;
    if not found then return put_aside(p_name, p_provider_id, p_reason, p_tenant, p_now); end if;
    v_new := true;
  end if;
  if v_aside.forgotten_at is not null
    then return jsonb_build_object('outcome', 'ignored', 'reason', 'forgotten_instance',
    'wake', false); end if;
  if v_new then
    -- a name that a shell would understand is not put into a command
    v_known := case when p_name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$' then p_name else 'aside:' || v_aside.id end;
    if (select count(*) from set_aside where first_at > clock(p_now) - interval '1 hour') > 5 then
      perform add_notice(jsonb_build_object('tenant', 'default', 'key',
        'aside-' || to_char(clock(p_now) at time zone 'UTC', 'YYYY-MM-DD-HH24'), 'kind', 'alert', 'urgent', true,
        'about', null,
        'text', 'Webhooks de muitos números que ninguém cadastrou. Nada deles é respondido. Veja: npm run admin -- instance unknown.'), p_now);
    else
      perform add_notice(jsonb_build_object('tenant', 'default', 'key', 'aside-' || v_aside.id, 'kind', 'alert',
        'urgent',
        true, 'about', null, 'text', case p_reason
        when 'nobodys_number' then 'Webhooks de um número que ninguém cadastrou: ' || v_known
          || '. Nada dele é respondido; o que chega fica guardado. Para atendê-lo: npm run admin -- instance adopt '
          || v_known || '. Para não ouvir mais dele: npm run admin -- instance forget ' || v_known || '.'
        when 'foreign_uuid' then 'Webhooks em nome do número ' || v_known
          || ' vêm de outra instância da Evolution (foi refeita, ou é uma cópia). Nada disso é respondido; fica guardado. Se é o mesmo número: '
          || 'npm run admin -- instance adopt ' || v_known || '. Se não: npm run admin -- instance forget ' || v_known
            || '.'
        when 'secret_of_another' then 'Webhooks em nome do número ' || v_known
          || ' chegaram com o segredo de outro. Nada disso é respondido; fica guardado. Se o webhook dele está errado na Evolution: '
          || 'npm run admin -- instance connect ' || v_known || '. Veja: npm run admin -- instance unknown.'
        else 'Webhooks do número ' || v_known
          || ', e MULTI_CHIP_ENABLED=false atende só o de EVOLUTION_INSTANCE. Nada dele é respondido; o que chega fica guardado. Para não ouvir mais dele: '
          || 'npm run admin -- instance forget ' || v_known || '.' end), p_now);
    end if;
  end if;
  return jsonb_build_object('outcome', 'set_aside', 'reason', p_reason, 'aside_id', v_aside.id, 'keep',
    v_aside.webhooks <= 10000,
    'told', v_new, 'wake', false);
end $function$;
revoke all on function public.put_aside(text,text,text,text,timestamp with time zone) from public;
grant execute on function public.put_aside(text,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.put_aside(text,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.put_holidays(p_days jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  insert into holidays (day, name) select d.day, d.name from jsonb_to_recordset(p_days) as d (day date, name text)
    on conflict do nothing;
  return jsonb_build_object('until', (select max(day) from holidays where tenant_id = 'default'));
end $function$;
revoke all on function public.put_holidays(jsonb) from public;
grant execute on function public.put_holidays(jsonb) to service_role;
grant execute on function public.put_holidays(jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.queue_later(p_conversation public.conversations, p_kind text, p_author text, p_text text, p_expires timestamp with time zone, p_now timestamp with time zone)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_id bigint;
begin
  update conversations set last_seq = last_seq + 1 where id = p_conversation.id;
  insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text,
    provider_at, kind, priority, part, due_at, expires_at, created_at)
    select c.tenant_id, c.instance_id, c.id, c.last_seq, 'out', p_author, 'text', 'queued', p_text, p_now, p_kind,
      case p_kind when 'follow_up' then 2 else 3 end, 0, p_now, p_expires, p_now
    from conversations c where c.id = p_conversation.id returning id into v_id;
  return v_id;
end $function$;
revoke all on function public.queue_later(public.conversations,text,text,text,timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.queue_later(public.conversations,text,text,text,timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.queue_later(public.conversations,text,text,text,timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.queue_parts(p_conversation public.conversations, p_turn public.turns, p_parts jsonb, p_before integer, p_draft boolean, p_now timestamp with time zone)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_part jsonb; v_count int := 0;
begin
  for v_part in select * from jsonb_array_elements(coalesce(p_parts, '[]')) loop
    v_count := v_count + 1;
    insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text,
      provider_at, turn_id, correlation_id, kind, priority, part, typing_ms, due_at, created_at)
      values (p_conversation.tenant_id, p_conversation.instance_id, p_conversation.id,
        p_conversation.last_seq + p_before + v_count, 'out', 'agent', 'text',
        case when p_draft then 'draft' else 'queued' end, v_part ->> 'text', p_now, p_turn.id, p_turn.correlation_id,
        coalesce(v_part ->> 'kind', 'reply'), case v_part ->> 'kind' when 'handoff' then 1 else 0 end, v_count,
        coalesce((v_part ->> 'typing_ms')::int, 0), p_now, p_now);
  end loop;
  return v_count;
end $function$;
revoke all on function public.queue_parts(public.conversations,public.turns,jsonb,integer,boolean,timestamp with time zone) from public;
grant execute on function public.queue_parts(public.conversations,public.turns,jsonb,integer,boolean,timestamp with time zone) to service_role;
grant execute on function public.queue_parts(public.conversations,public.turns,jsonb,integer,boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.queue_reaction(p_conversation public.conversations, p_turn public.turns, p_effect jsonb, p_before integer, p_draft boolean, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text,
    provider_at, quoted_id, turn_id, correlation_id, kind, priority, part, due_at, created_at)
    select p_conversation.tenant_id, p_conversation.instance_id, p_conversation.id,
      p_conversation.last_seq + p_before + 1, 'out', 'agent', 'reaction',
      case when p_draft then 'draft' else 'queued' end, p_effect ->> 'emoji', p_now, m.provider_id, p_turn.id,
      p_turn.correlation_id, 'reply', 0, 0, p_now, p_now
    from messages m where m.id = (p_effect ->> 'message_id')::bigint and m.conversation_id = p_conversation.id
      and m.direction = 'in' and m.provider_id is not null;
  return found;
end $function$;
revoke all on function public.queue_reaction(public.conversations,public.turns,jsonb,integer,boolean,timestamp with time zone) from public;
grant execute on function public.queue_reaction(public.conversations,public.turns,jsonb,integer,boolean,timestamp with time zone) to service_role;
grant execute on function public.queue_reaction(public.conversations,public.turns,jsonb,integer,boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.queue_recipient(p_campaign bigint, p_ahead integer, p_judge boolean, p_request jsonb, p_policy jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_now timestamptz := clock(p_now);
  v campaigns;
  v_next campaign_recipients;
  v_one campaign_recipients;   -- the same, once its contact is locked
  v_instance text;
  v_contact bigint;
  v_ahead int;
  v_queued jsonb;
begin
  select * into v from campaigns where id = p_campaign for no key update;
  if not found or v.status not in ('scheduled', 'running') or (v.status = 'scheduled' and v.starts_at > v_now) then
    return jsonb_build_object('outcome', 'idle');
  end if;
  select name into v_instance from instances where id = v.instance_id;
  if pause_reason(v.tenant_id, v_instance, null, v.name) is not null
    or (select t.proactive from tenants t where t.id = v.tenant_id) <> 'all' then
    return jsonb_build_object('outcome', 'held');
  end if;
  if v.status = 'scheduled' then v := begin_campaign(v, p_policy, p_request ->> 'shop', v_now); end if;
  if p_judge and judge_campaign(v, v_now) is not null then return jsonb_build_object('outcome', 'stopped'); end if;
  select count(*) into v_ahead from outbox o where o.tenant_id = v.tenant_id and o.campaign_id = v.name;
  if v_ahead >= p_ahead then return jsonb_build_object('outcome', 'full'); end if;
  loop
    select * into v_next from campaign_recipients where campaign_id = v.id and status = 'waiting'
      order by contact_id limit 1;
    if not found then
      if v_ahead > 0 or exists (select from campaign_recipients r join on_wire w on w.message_id = r.message_id
        where r.campaign_id = v.id) then return jsonb_build_object('outcome', 'full'); end if;
      update campaigns set status = 'done', ended_at = v_now where id = v.id;
      return jsonb_build_object('outcome', 'done');
    end if;
    -- an erasure has the contact first, so it is waited for, and seen
    perform 1 from contacts where id = v_next.contact_id for no key update;
    select * into v_one from campaign_recipients where campaign_id = v.id and contact_id = v_next.contact_id
      and status = 'waiting';
    continue when not found;
    v_contact := find_contact(v.tenant_id, v_next.contact_id, null);
    exit when v_contact = v_next.contact_id or not exists (select from campaign_recipients r where r.campaign_id = v.id
      and r.contact_id = v_contact and r.status in ('waiting', 'queued'));
    update campaign_recipients set status = 'skipped', reason = 'contact_merged' where campaign_id = v.id
      and contact_id = v_next.contact_id;
  end loop;
  v_queued := enqueue_message(jsonb_build_object('tenant', v.tenant_id, 'instance',
    coalesce(v_instance, p_request ->> 'instance'), 'choose', case when v_instance is null then p_request -> 'choose'
    end, 'phone', v_next.phone, 'text', v_next.text, 'kind', 'campaign', 'campaign_id', v.name, 'idempotency_key',
    'campaign/' || v.id || '/' || v_next.contact_id, 'actor', 'campaign'), p_now);
  update campaign_recipients set status = 'queued', message_id = (v_queued ->> 'id')::bigint
    where campaign_id = v.id and contact_id = v_next.contact_id;
  return jsonb_build_object('outcome', 'queued', 'lane', v_queued -> 'conversation_id');
end $function$;
revoke all on function public.queue_recipient(bigint,integer,boolean,jsonb,jsonb,timestamp with time zone) from public;
grant execute on function public.queue_recipient(bigint,integer,boolean,jsonb,jsonb,timestamp with time zone) to service_role;
grant execute on function public.queue_recipient(bigint,integer,boolean,jsonb,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.queue_tool_write(p_conversation public.conversations, p_turn public.turns, p_effect jsonb, p_draft boolean, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_tool http_tools;
  v_limits jsonb;
  v_day timestamptz := p_now - interval '1 day';
  v_amount numeric := (p_effect ->> 'amount')::numeric;
  v_risks text[] := array(select jsonb_array_elements_text(p_effect -> 'risks'));
  v_stop text;
  v_id bigint;
begin
  select * into v_tool from http_tools where id = (p_effect ->> 'tool_id')::bigint
    and tenant_id = p_conversation.tenant_id for no key update;
  if p_draft then v_risks := v_risks || 'draft'::text; end if;
  -- turns that ask the same tool wait for each other by its row
  if exists (select from tool_writes where tool_id = v_tool.id and conversation_id = p_conversation.id
      and input = p_effect -> 'input' and status in ('waiting', 'queued', 'sending')) then
    return;
  end if;
  v_limits := coalesce(v_tool.definition -> 'limits', '{}');
  if v_tool.removed_at is not null or v_tool.version is distinct from (p_effect ->> 'version')::int then
    v_stop := 'tool_changed';
  elsif exists (select from (select count(*) filter (where w.created_at > v_day and c.contact_id
          = p_conversation.contact_id) as contact_day,
        count(*) filter (where w.created_at > p_now - interval '1 hour') as hour,
        coalesce(sum(w.amount) filter (where w.created_at > v_day), 0) as amount_day
      from tool_writes w join conversations c on c.id = w.conversation_id
      where w.tool_id = v_tool.id and w.created_at > v_day and w.status not in ('refused', 'expired', 'failed')) used
    where used.contact_day >= (v_limits ->> 'contact_day')::int or used.hour >= (v_limits ->> 'hour')::int
      or used.amount_day + coalesce(v_amount, 0) > (v_limits ->> 'amount_day')::numeric) then
    v_stop := 'tool_limit';
  end if;
  insert into tool_writes (tenant_id, tool_id, conversation_id, turn_id, definition, input, request, amount, risks,
    status, reason, due_at, created_at, ended_at)
    values (p_conversation.tenant_id, v_tool.id, p_conversation.id, p_turn.id, v_tool.definition, p_effect -> 'input',
      p_effect -> 'request', v_amount, v_risks, case when v_stop is not null then 'refused'
        when v_risks <> '{}' then 'waiting' else 'queued' end, v_stop, p_now, p_now,
      case when v_stop is not null then p_now end)
    returning id into v_id;
  if v_stop is not null then
    perform open_handoff(p_conversation.id, p_turn.id, v_stop, v_tool.name, true, p_now);
  elsif v_risks <> '{}' then
    insert into approvals (tenant_id, write_id, conversation_id, expires_at, created_at)
      values (p_conversation.tenant_id, v_id, p_conversation.id, p_now
        + make_interval(mins => coalesce((v_tool.definition ->> 'approval_minutes')::int, 240)), p_now);
  end if;
end $function$;
revoke all on function public.queue_tool_write(public.conversations,public.turns,jsonb,boolean,timestamp with time zone) from public;
grant execute on function public.queue_tool_write(public.conversations,public.turns,jsonb,boolean,timestamp with time zone) to service_role;
grant execute on function public.queue_tool_write(public.conversations,public.turns,jsonb,boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.quote_of(p_message public.messages)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_quote jsonb;
begin
  if p_message.quoted_id is not null then
    select jsonb_build_object('quoted_author', case when q.kind = 'manual' then 'human' else q.author end,
        'quoted_text', case when q.deleted_at is null
      and q.kind is distinct from 'operator'
        and not coalesce(q.meaning ?| array['command', 'handset'], false) then q.text end)
      into v_quote
      from messages q where q.instance_id = p_message.instance_id and q.provider_id = p_message.quoted_id
        and q.conversation_id = p_message.conversation_id;
  end if;
  return coalesce(v_quote, jsonb_build_object('quoted_text', p_message.quoted_text, 'quoted_author', null));
end $function$;
revoke all on function public.quote_of(public.messages) from public;
grant execute on function public.quote_of(public.messages) to service_role;
grant execute on function public.quote_of(public.messages) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.rate_reset(p_tenant text, p_instance text, p_window text, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v_names jsonb;
begin
  with reset as (
    update instances set next_proactive_at = null, next_notice_at = null,
      hour_reset_at = case when p_window in ('hour', 'both') then v_now else hour_reset_at end,
      day_reset_at = case when p_window in ('day', 'both') then v_now else day_reset_at end
    where tenant_id = p_tenant and name = coalesce(p_instance, name) returning name)
  select jsonb_agg(name order by name) into v_names from reset;
  if v_names is null then return jsonb_build_object('outcome', 'unknown_instance'); end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'rate.reset', p_window, jsonb_build_object('instances', v_names, 'reason', p_reason),
      v_now);
  return jsonb_build_object('outcome', 'done', 'instances', v_names, 'lanes', release_held(p_tenant, p_instance,
    array['cap_hour', 'cap_day', 'warming_hour', 'warming_day', 'kind_cap', 'strangers', 'slow_start', 'priority',
      'pace', 'notice_cap', 'notice_pace'], v_now));
end $function$;
revoke all on function public.rate_reset(text,text,text,text,text,timestamp with time zone) from public;
grant execute on function public.rate_reset(text,text,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.rate_reset(text,text,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.rate_status(p_tenant text, p_policy jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v_all jsonb := '{}'; v_instance instances; v_young jsonb; v_hour int;
v_day int; v_hours jsonb; v_hour_from timestamptz; v_day_from timestamptz;
begin
  for v_instance in select * from instances where tenant_id = p_tenant order by id loop
    v_young := warming_caps(v_instance.phase, v_instance.phase_since, v_now);
    v_hour := least(coalesce(v_instance.cap_hour, (p_policy ->> 'capHour')::int), (v_young ->> 'hour')::int);
    v_day := least(coalesce(v_instance.cap_day, (p_policy ->> 'capDay')::int), (v_young ->> 'day')::int);
    v_hours := hours_of(v_instance, p_policy);
    v_hour_from := greatest(v_now - interval '1 hour', v_instance.hour_reset_at);
    v_day_from := greatest(v_now - interval '1 day', v_instance.day_reset_at);
    v_all := v_all || jsonb_build_object(v_instance.name, (select jsonb_build_object(
        'hour', jsonb_build_object('used', count(*) filter (where s.slot_at > v_hour_from), 'limit', v_hour, 'oldest',
          min(s.slot_at) filter (where s.slot_at > v_hour_from)),
        'day', jsonb_build_object('used', count(*) filter (where s.slot_at > v_day_from), 'limit', v_day, 'oldest',
          min(s.slot_at) filter (where s.slot_at > v_day_from)))
      from (select slot_at from slots where instance_id = v_instance.id and not reply and not is_notice(kind)
          and slot_at > least(v_hour_from, v_day_from)
        union all select slot_at from on_wire where instance_id = v_instance.id and is_proactive(kind)
          and not is_notice(kind) and slot_at > least(v_hour_from, v_day_from)) s)
      || jsonb_build_object('notices', (select jsonb_build_object('used', count(*), 'limit',
          (p_policy ->> 'noticeCapHour')::int, 'oldest', min(s.slot_at))
        from (select slot_at from slots where instance_id = v_instance.id and not reply and is_notice(kind)
            and slot_at > v_hour_from
          union all select slot_at from on_wire where instance_id = v_instance.id and is_notice(kind)) s))
      || jsonb_build_object('status', v_instance.status, 'phase', v_instance.phase, 'next_proactive_at',
        v_instance.next_proactive_at,
        'inside_hours', inside_hours(v_hours, p_tenant, v_now),
        'next_slot_at', next_open(v_hours, p_tenant,
          greatest(v_now, v_instance.next_proactive_at,
            free_at(v_instance.id, 'proactive', interval '1 hour', v_hour, v_instance.hour_reset_at,
          v_now),
          free_at(v_instance.id, 'proactive', interval '1 day', v_day, v_instance.day_reset_at, v_now),
            slow_start(v_instance, v_hour, v_now))),
        'held', (select coalesce(jsonb_object_agg(h.reason, h.n), '{}')
          from (select o.reason, count(*) as n from outbox o where o.instance_id = v_instance.id
            and is_proactive(o.kind) and o.reason is not null group by o.reason) h)));
  end loop;
  return v_all;
end $function$;
revoke all on function public.rate_status(text,jsonb,timestamp with time zone) from public;
grant execute on function public.rate_status(text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.rate_status(text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.read_conversation(p_tenant text, p_conversation bigint, p_before bigint, p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v conversations; v_contact contacts; v_now timestamptz := clock(p_now); v_messages jsonb; v_first bigint;
begin
  select * into v from conversations where id = p_conversation and tenant_id = p_tenant;
  if not found then return null; end if;
  if v.merged_into is not null then return jsonb_build_object('merged_into', v.merged_into); end if;
  select * into v_contact from contacts where id = v.contact_id;
  select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'seq', m.seq, 'direction', m.direction, 'author',
      case when m.kind = 'manual' then 'human' else m.author end, 'by', m.written_by, 'type', m.type, 'status',
      m.status,
      'reason', m.reason, 'text', left(m.text, 8000), 'at', m.created_at, 'kind', m.kind, 'turn_id', m.turn_id,
      'goes_at', case when m.status = 'queued' then promised_at(m) end, 'delivered_at', m.delivered_at, 'read_at',
      m.read_at, 'edited_at', m.edited_at, 'deleted_at', m.deleted_at, 'quoted_text', left(m.quoted_text, 300),
      'file', m.media ->> 'fileName', 'cost_usd', t.cost_usd, 'model', t.model,
      'route', t.route) order by m.seq), '[]'), min(m.seq)
    into v_messages, v_first
    from (select * from messages x where x.conversation_id = v.id and x.seq < coalesce(p_before, 9223372036854775807)
      and x.kind is distinct from 'operator' order by x.seq desc limit p_limit) m
      left join turns t on t.id = m.turn_id and m.direction = 'out' and m.part = 1;
  return jsonb_build_object('conversation', jsonb_build_object('id', v.id, 'contact_id', v.contact_id,
      'name', v_contact.name, 'phone', (select a.address from contact_addresses a where a.contact_id = v.contact_id
        and a.kind = 'pn' order by a.id limit 1),
      'instance', (select i.name from instances i where i.id = v.instance_id),
      'erased', v_contact.erased_at is not null,
      'holder', conversation_holder(v, v_now), 'taken_by', v.taken_by, 'taken_at', v.taken_at, 'mode', v.mode,
      'reason', v.escalation_reason, 'takeover_until', case when v.takeover_until > v_now then v.takeover_until end,
      'quiet_until', case when v.quiet_until > v_now then v.quiet_until end, 'quiet_reason', v.quiet_reason,
      'paused', (select pause_reason(v.tenant_id, i.name, v.id, null) from instances i where i.id = v.instance_id),
      'deferred_reason', v.deferred_reason, 'deferred_until', v.deferred_until,
      'opted_out', exists (select from standing_opt_out(v.contact_id)),
      'labels', v.observed_labels, 'summary', v.observed_summary, 'observed_at', v.observed_at,
      'facts', (select coalesce(jsonb_agg(f.fact order by f.noted_at), '[]') from (select * from contact_facts
        where contact_id = v.contact_id and replaced_at is null order by noted_at desc limit 30) f),
      'handoffs', (select coalesce(jsonb_agg(jsonb_build_object('reason', h.reason, 'summary', h.summary, 'suggestion',
        h.suggestion, 'at', h.created_at, 'controls', h.controls) order by h.id), '[]') from handoffs h
        where h.conversation_id = v.id and h.status <> 'returned'),
      'cost_usd', (select coalesce(sum(cost_usd), 0) from turns where conversation_id = v.id
        and started_at > v_now - interval '30 days'),
      'drafts', (select coalesce(jsonb_agg(jsonb_build_object('id', d.turn_id, 'text', d.text, 'at', d.at)
        order by d.turn_id), '[]') from (select f.turn_id, string_agg(m.text, E'\n\n' order by m.part) as text,
          min(m.created_at) as at from drafts f join messages m on m.id = f.message_id
          where f.conversation_id = v.id group by 1) d)),
    'messages', v_messages, 'more', exists (select from messages m where m.conversation_id = v.id
      and m.seq < v_first));
end $function$;
revoke all on function public.read_conversation(text,bigint,bigint,integer,timestamp with time zone) from public;
grant execute on function public.read_conversation(text,bigint,bigint,integer,timestamp with time zone) to service_role;
grant execute on function public.read_conversation(text,bigint,bigint,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.read_events(p_tenant text, p_after bigint, p_types jsonb, p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_feed event_feeds; v_events jsonb; v_n int; v_last bigint;
begin
  perform keep_events(p_tenant);
  perform number_events(p_tenant, p_limit + 1000);
  update event_feeds set read_at = clock(p_now) where tenant_id = p_tenant
    and read_at < clock(p_now) - interval '10 minutes';
  select * into v_feed from event_feeds where tenant_id = p_tenant;
  if p_after < v_feed.gone or p_after > v_feed.numbered then
    return jsonb_build_object('outcome', 'gone', 'cursor', v_feed.gone);
  end if;
  select coalesce(jsonb_agg(event_envelope(e) order by e.seq), '[]'), count(*), max(e.seq)
    into v_events, v_n, v_last
    from (select * from events where tenant_id = p_tenant and seq > coalesce(p_after, v_feed.gone)
      and (p_types is null or p_types ? type) order by seq limit p_limit) e;
  return jsonb_build_object('outcome', 'events', 'events', v_events, 'cursor', case when v_n = p_limit then v_last
    else greatest(v_last, v_feed.numbered) end, 'more', v_n = p_limit or exists (select from events
      where tenant_id = p_tenant and seq is null));
end $function$;
revoke all on function public.read_events(text,bigint,jsonb,integer,timestamp with time zone) from public;
grant execute on function public.read_events(text,bigint,jsonb,integer,timestamp with time zone) to service_role;
grant execute on function public.read_events(text,bigint,jsonb,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.read_media(p_message bigint, p_hash text, p_note text, p_said text, p_meaning jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_message messages := hold_unread(p_message);
  v_conversation conversations;
  v_says boolean := p_said is not null or v_message.type <> 'audio';
  v_again boolean;
  v_meaning jsonb;
begin
  if v_message.id is null then return null; end if;
  select * into v_conversation from conversations where id = v_message.conversation_id;
  delete from media_waits where message_id = p_message;
  v_again := v_message.status = 'answered' and v_message.deleted_at is null and v_says
    and v_conversation.controlled_by = 'agent' and coalesce(v_conversation.takeover_until <= clock(p_now), true)
    and not exists (select from messages l where l.conversation_id = v_conversation.id and l.seq > v_message.seq
      and (l.author = 'human' or (l.direction = 'in' and l.turn_id is distinct from v_message.turn_id)));
  if p_meaning is not null and v_message.deleted_at is null then
    v_meaning := take_meaning(v_conversation, p_meaning, false, v_message.provider_at, false, null, clock(p_now));
  end if;
  update messages set text = case when deleted_at is null then media_text(text, p_note, p_said) else text end,
    typed = case when deleted_at is null then coalesce(p_said, typed) else typed end,
    meaning = coalesce(v_meaning, meaning),
    media = coalesce(media, '{}') || jsonb_build_object('sha256', p_hash, 'note', p_note,
      'read', case when v_says then 'words' else 'silent' end),
    status = case when v_again then 'received' else status end, reason = case when v_again then null else reason end,
    turn_id = case when v_again then null else turn_id end where id = p_message;
  -- a turn that is under way read it as it was
  v_again := v_again or (v_message.status = 'received' and exists (select from turns t
    where t.conversation_id = v_conversation.id and t.status = 'open'));
  if v_again then
    update conversations set inbound_seq = inbound_seq + 1 where id = v_conversation.id;
  end if;
  return jsonb_build_object('conversation_id', v_conversation.id, 'wake', v_again);
end $function$;
revoke all on function public.read_media(bigint,text,text,text,jsonb,timestamp with time zone) from public;
grant execute on function public.read_media(bigint,text,text,text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.read_media(bigint,text,text,text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.recent_conversations(p_tenant text, p_only text, p_before bigint, p_limit integer, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  with looked as (select m.id, m.conversation_id from messages m where m.id < coalesce(p_before, 9223372036854775807)
      and m.tenant_id = p_tenant order by m.id desc limit 25 * p_limit),
    newest as (select conversation_id, max(id) as id from looked group by 1),
    shown as (select n.conversation_id, n.id from newest n join conversations c on c.id = n.conversation_id
      where c.merged_into is null and (p_before is null or n.id = (select m.id from messages m
          where m.conversation_id = c.id order by m.seq desc limit 1))
        and (p_only is null or (conversation_holder(c, p_now) in ('agent', 'observe')
          and coalesce(c.quiet_until <= p_now, true)
          and pause_status('conversation', c.id::text, p_tenant) is distinct from 'pausado'))
      order by n.id desc limit p_limit)
  select jsonb_build_object('ids', (select coalesce(jsonb_agg(conversation_id order by id desc), '[]') from shown),
    'next', case when (select count(*) from shown) = p_limit then (select min(id) from shown)
      when (select count(*) from looked) = 25 * p_limit then (select min(id) from looked) end)
$function$;
revoke all on function public.recent_conversations(text,text,bigint,integer,timestamp with time zone) from public;
grant execute on function public.recent_conversations(text,text,bigint,integer,timestamp with time zone) to service_role;
grant execute on function public.recent_conversations(text,text,bigint,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.reconcile_from(p_instance text, p_overlap_ms integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('restored', restored_at is not null,
    'from', greatest(coalesce(reconciled_at - make_interval(secs => p_overlap_ms / 1000.0), created_at), created_at,
      case when restored_at is null then clock(p_now) - interval '2 days' end))
  from instances where name = p_instance
$function$;
revoke all on function public.reconcile_from(text,integer,timestamp with time zone) from public;
grant execute on function public.reconcile_from(text,integer,timestamp with time zone) to service_role;
grant execute on function public.reconcile_from(text,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.reconciled(p_instance text, p_until timestamp with time zone, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_instance instances;
begin
  update instances set reconciled_at = greatest(reconciled_at, p_until)
    where name = p_instance returning * into v_instance;
  if not coalesce(p_until >= v_instance.restored_at, false) then return jsonb_build_object('settled', false); end if;
  perform settle_restored(v_instance, p_now);
  return jsonb_build_object('settled', true);
end $function$;
revoke all on function public.reconciled(text,timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.reconciled(text,timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.reconciled(text,timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.record_arrived(p_items jsonb, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
declare v_all jsonb;
begin
  with arrived as materialized (
      select * from (
        select i.n, m.id, m.conversation_id, m.kind, i.next, i.outcome ->> 'provider_id' as provider_id,
          row_number() over (partition by m.instance_id, i.outcome ->> 'provider_id' order by i.n) as again,
          row_number() over (partition by m.id order by i.n) as twice
        from rows from (jsonb_to_recordset(p_items) as (message_id bigint, claim bigint, outcome jsonb, next boolean))
            with ordinality as i (message_id, claim, outcome, next, n)
          join messages m on m.id = i.message_id join instances s on s.id = m.instance_id
        where i.outcome ->> 'kind' = 'sent' and i.outcome ->> 'jid' is null and i.outcome ->> 'provider_id' is not null
          and m.status = 'sending' and m.claim = i.claim and m.provider_id is null and s.held_reason is null
          and not exists (select from messages o where o.instance_id = m.instance_id
            and o.provider_id = i.outcome ->> 'provider_id')
          and not exists (select from early_updates e where e.instance_id = m.instance_id
            and e.provider_id = i.outcome ->> 'provider_id')) x
      where x.again = 1 and x.twice = 1),
    sent as (
      update messages m set provider_id = a.provider_id, status = 'sent', reason = null, error_class = null,
          lease_until = null, goes_at = null, provider_at = p_now, slot_at = greatest(m.slot_at, p_now)
        from arrived a where m.id = a.id),
    conversation as (
      update conversations c set superseded_in_row = 0 from arrived a where c.id = a.conversation_id
        and c.superseded_in_row > 0 and not is_proactive(a.kind))
  select coalesce(jsonb_object_agg(a.n, jsonb_build_object('outcome', 'recorded', 'status', 'sent', 'next', null,
      'more', l.more, 'ask', l.more and a.next)), '{}')
    into v_all from arrived a cross join lateral (select exists (select from outbox o
        where o.conversation_id = a.conversation_id) or exists (select from on_wire w
        where w.conversation_id = a.conversation_id and w.message_id <> a.id) as more) l;
  return v_all;
end $function$;
revoke all on function public.record_arrived(jsonb,timestamp with time zone) from public;
grant execute on function public.record_arrived(jsonb,timestamp with time zone) to service_role;
grant execute on function public.record_arrived(jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.record_audit(p_tenant text, p_actor text, p_action text, p_subject text, p_details jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  insert into audit_log (tenant_id, actor, action, subject, details)
    values (p_tenant, p_actor, p_action, p_subject, p_details);
  return '{}';
end $function$;
revoke all on function public.record_audit(text,text,text,text,jsonb) from public;
grant execute on function public.record_audit(text,text,text,text,jsonb) to service_role;
grant execute on function public.record_audit(text,text,text,text,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.record_connection(p_instance public.instances, p_event jsonb, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v instances;
  v_state text := p_event ->> 'state';
  v_reason int := (p_event ->> 'reason')::int;
  v_phone text := p_event ->> 'ownerPn';
  v_alone boolean := speaks_alone(p_event -> 'from');
  v_changed boolean;
  v_back boolean;
  v_anew boolean;
begin
  select * into v from instances where id = p_instance.id for no key update;
  v_changed := v.status is distinct from v_state;
  v_back := v_changed and v_state = 'open';
  v_anew := v_state = 'open' and (v_changed or not coalesce((p_event ->> 'polled')::boolean, false));
  -- a poll knows no reason: it does not wipe out the one that a webhook told
  update instances set status = v_state, status_reason = case when v_changed or v_reason is not null then v_reason
    else status_reason end,
    phone = case when v_alone then phone else coalesce(v_phone, phone) end,
    phone_doubted = case when v_phone is null then phone_doubted else v_alone and (phone_doubted or phone is distinct
      from v_phone) end, status_at = case when v_changed then clock(p_now)
      else status_at end,
    paired = case when v_state = 'open' then true when v_state = 'close' and v_reason is not null then false
      else paired end,
    alive_at = case when v_anew then clock(p_now) else alive_at end,
    down_since = case when v_state = 'open' then null when status = 'open' then clock(p_now) else down_since end,
    -- an outage, not a blip: WhatsApp closes a socket now and then
    reconnected_at = case when v_state = 'open' and down_since < clock(p_now) - interval '5 minutes' then clock(p_now)
      else reconnected_at end
    where id = v.id;
  if v_changed then
    perform note_instance(v, 'connection', v_state, jsonb_build_object('was', v.status, 'code', v_reason),
      clock(p_now));
  end if;
  if v_changed and v_state = 'close' and v_reason = 403 then
    perform number_trouble(v.id, incident('banned'), clock(p_now));
  end if;
  if v_back then
    update messages m set due_at = clock(p_now) from outbox o where o.instance_id = v.id and m.id = o.message_id
      and o.reason in ('number_disconnected', 'disconnected', 'connection_closed') and m.status = 'queued'
      and m.reason in ('number_disconnected', 'disconnected', 'connection_closed') and m.due_at > clock(p_now);
  end if;
  return jsonb_build_object('outcome', 'connection', 'instance_id', v.id, 'changed', v_changed, 'wake', false,
    'wake_sends', v_back, 'reconcile', v_anew);
end $function$;
revoke all on function public.record_connection(public.instances,jsonb,timestamp with time zone) from public;
grant execute on function public.record_connection(public.instances,jsonb,timestamp with time zone) to service_role;
grant execute on function public.record_connection(public.instances,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.record_greeting_told(p_instance text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update instances set greeting_told_at = clock(p_now) where name = p_instance and greeting_told_at is null;
  return jsonb_build_object('recorded', found);
end $function$;
revoke all on function public.record_greeting_told(text,timestamp with time zone) from public;
grant execute on function public.record_greeting_told(text,timestamp with time zone) to service_role;
grant execute on function public.record_greeting_told(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.record_handoff_step(p_handoff bigint, p_step text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update handoffs set status = case status when 'open' then 'notified' else status end,
    notified_at = coalesce(notified_at, clock(p_now)),
    reminded_at = case when p_step = 'reminded' then coalesce(reminded_at, clock(p_now)) else reminded_at end
      where id = p_handoff;
  return jsonb_build_object('recorded', found);
end $function$;
revoke all on function public.record_handoff_step(bigint,text,timestamp with time zone) from public;
grant execute on function public.record_handoff_step(bigint,text,timestamp with time zone) to service_role;
grant execute on function public.record_handoff_step(bigint,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.record_inbound(p_webhooks jsonb, p_options jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_heard heard_event[];
  v_plain jsonb := '{}';
  v_webhook jsonb;
  v_n bigint;
  v_event jsonb;
  v_result jsonb;
  v_results jsonb;
  v_all jsonb := '[]';
  v_instance instances;
  v_reason text;
  v_tenant text;
  v_aside bigint;
  v_kept boolean;
  v_gone boolean;
  v_crowded boolean;
  v_bare boolean;
  v_entry boolean;
  v_ignored text[];
  v_name text;
  v_id bigint;
begin
  -- for one or two, what is set up for a set costs more than it saves
  if jsonb_array_length(p_webhooks) > 1 then
    v_heard := hear(p_webhooks, p_options, clock(p_now));
    perform hold_chats(v_heard);
    if jsonb_array_length(p_webhooks) > 2 then v_plain := record_plain(p_webhooks, v_heard, clock(p_now)); end if;
  end if;
  for v_webhook, v_n in select * from jsonb_array_elements(p_webhooks) with ordinality loop
    if v_plain ? v_n::text then
      v_all := v_all || jsonb_build_array(v_plain -> v_n::text);
      continue;
    end if;
    v_results := '[]';
    v_tenant := tenant_of_poster(v_webhook -> 'from');
    if v_webhook ? 'kept' and not spend_kept((v_webhook ->> 'kept')::uuid, clock(p_now)) then
      v_all := v_all || jsonb_build_object('webhook_id', null, 'tenant_id', v_tenant, 'results', v_results);
      continue;
    end if;
    v_aside := null;
    v_kept := false;
    v_bare := false;
    v_entry := false;
    v_name := v_webhook ->> 'instance';
    for v_event in select e || jsonb_build_object('from', v_webhook -> 'from')
      from jsonb_array_elements(v_webhook -> 'events') e loop
      if v_event ->> 'kind' = 'presence' or (v_event ->> 'kind' = 'ignored' and not v_event ? 'kept') then
        v_result := jsonb_build_object('outcome', 'ignored', 'reason',
          coalesce(v_event ->> 'reason', v_event ->> 'kind'), 'wake', false);
      elsif coalesce(v_event ->> 'instance', '') = '' then
        v_result := jsonb_build_object('outcome', 'ignored', 'reason', coalesce(v_event ->> 'reason', 'no_instance'),
          'entry', true, 'wake', false);
        v_tenant := tenant_of_poster(v_webhook -> 'from');
      else
        select * into v_instance from instances where name = v_event ->> 'instance';
        v_reason := webhook_refusal(v_instance, v_event ->> 'instance', v_event ->> 'instanceId', v_webhook -> 'from',
          p_options ->> 'onlyInstance', coalesce((v_webhook ->> 'postedAt')::timestamptz, clock(p_now)));
        if v_reason is null and v_event ->> 'instanceId' <> coalesce(v_instance.provider_id, '')
          then perform learn_uuid(v_instance, v_event ->> 'instanceId'); end if;
        v_result := case
          when v_reason is not null then put_aside(v_event ->> 'instance', v_event ->> 'instanceId', v_reason,
            tenant_of_poster(v_webhook -> 'from'), p_now)
          when v_event ->> 'kind' in ('message', 'reaction') and meets_forged(v_instance, v_event,
            v_webhook -> 'from' ? 'ourselves', clock(p_now)) then
            jsonb_build_object('outcome', 'ignored', 'reason', 'forged_resend', 'provider_id', v_event -> 'providerId',
              'entry', true, 'wake', false)
          when v_event ->> 'kind' in ('message', 'reaction') then
            record_message(v_instance, v_event, p_options || jsonb_build_object('correlationId',
              v_webhook ->> 'requestId'), p_now)
          when v_event ->> 'kind' in ('ack', 'edit', 'delete') then apply_update(v_instance.id, v_event, p_now)
          when v_event ->> 'kind' = 'connection' then record_connection(v_instance, v_event, p_now)
          else jsonb_build_object('outcome', 'ignored', 'reason', coalesce(v_event ->> 'reason', v_event ->> 'kind'),
            'provider_id', v_event -> 'providerId', 'entry', true, 'wake', false)
        end;
        if v_reason is null then
          if v_event ? 'forged' then perform remember_forged(v_instance, v_event, clock(p_now)); end if;
          v_tenant := v_instance.tenant_id;
          v_kept := true;
        elsif coalesce((v_result ->> 'keep')::boolean, false) then
          v_aside := (v_result ->> 'aside_id')::bigint;
          v_kept := true;
        elsif v_result ? 'entry' then
          v_name := null; -- one of too many names: they share one allowance
          -- of what is in somebody's name nothing is kept: whether it was would tell the poster who was erased there
          v_bare := v_bare or coalesce((v_result ->> 'refused')::boolean, false);
        end if;
      end if;
      v_entry := v_entry or v_result ? 'entry' or v_result ->> 'reason' in ('not_its_author', 'unknown_message');
      v_results := v_results || v_result;
    end loop;
    v_id := null;
    v_ignored := case when v_entry then ignored_reasons(v_results) end;
    if v_webhook ? 'replays' then
      -- the entry is that of the webhook which is replayed; what found no place again is not stored again
      update webhook_events set ignored = v_ignored where id = (v_webhook ->> 'replays')::bigint
        and ignored is not null;
      v_kept := v_kept and jsonb_path_exists(v_results, '$[*] ? (@.outcome != "ignored" && @.outcome != "early")');
      v_ignored := null;
    end if;
    if v_kept or v_ignored is not null then
      -- of somebody who was erased it stays that something came, and not what; of a crowd of more than can be looked
      -- through neither
      v_gone := jsonb_path_exists(v_results, '$[*] ? (@.outcome == "erased")');
      v_crowded := false;
      -- beside what found its place may stand what did not
      if not (v_gone or v_bare)
        and (jsonb_path_exists(v_results, '$[*] ? (@.outcome == "ignored" || @.outcome == "early")')
        or not jsonb_path_exists(v_results, '$[*] ? (@.conversation_id > 0)')) then
        select * into v_instance from instances where name = v_webhook ->> 'instance';
        -- to look through a megabyte takes a second, and everybody waits
        v_crowded := found and case when pg_column_size(v_webhook -> 'raw') > 524288 then true
          else (select count(*) > 2000 from digits_in(v_webhook -> 'raw')) end;
        if found and not v_crowded then
          perform hold_named(v_instance, v_webhook -> 'raw');
          v_gone := names_erased(v_instance, v_webhook -> 'raw', oldest_in(v_webhook -> 'raw'));
        end if;
      end if;
      insert into webhook_events (tenant_id, instance, event, body, results, request_id, posted_by, aside_id, ignored,
        received_at)
        values (v_tenant, v_name, v_webhook ->> 'event', case when v_gone then '{"erased": true}' when v_bare
          then '{"left_out": "too_many"}' when v_crowded then '{"left_out": "large"}'
          when v_ignored is not null and not jsonb_path_exists(v_results, '$[*] ? (@.outcome != "ignored")')
            then body_of_ignored(v_name, v_ignored[1], v_webhook -> 'raw', clock(p_now))
          else v_webhook -> 'raw' end, v_results, v_webhook ->> 'requestId',
            coalesce(v_webhook -> 'from', '{"tenant": "default"}'), v_aside, v_ignored, clock(p_now))
        returning id into v_id;
    end if;
    v_all := v_all || jsonb_build_object('webhook_id', v_id, 'tenant_id', v_tenant, 'results', v_results);
  end loop;
  return v_all;
end $function$;
revoke all on function public.record_inbound(jsonb,jsonb,timestamp with time zone) from public;
grant execute on function public.record_inbound(jsonb,jsonb,timestamp with time zone) to service_role;
grant execute on function public.record_inbound(jsonb,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.record_media(p_tenant text, p_hash text, p_lease timestamp with time zone, p_words text, p_reader text, p_seconds numeric DEFAULT 0, p_calls jsonb DEFAULT '[]'::jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_id bigint; v_lease timestamptz;
begin
  select id, lease_until into v_id, v_lease from media where tenant_id = p_tenant and sha256 = p_hash for update;
  update media set words = coalesce(words, p_words), reader = case when words is null then p_reader else reader end,
    lease_until = case when v_lease is distinct from p_lease then v_lease end, calls = calls + 1,
    seconds = seconds + coalesce(p_seconds, 0),
    read_at = case when words is null and p_words is not null then clock(p_now) else read_at end
    where id = v_id;
  delete from spend_reservations where media_id = v_id and v_lease = p_lease;
  insert into model_calls (tenant_id, media_id, model, outcome, ms, input_tokens, output_tokens, thinking_tokens,
    cache_read_tokens, cache_write_tokens, cost_usd, estimated, detail, cache_miss)
    select p_tenant, v_id, r.model, r.outcome, r.ms, r.input_tokens, r.output_tokens, coalesce(r.thinking_tokens, 0),
      r.cache_read_tokens, r.cache_write_tokens, r.cost_usd, coalesce(r.estimated, false), r.detail, r.cache_miss
    from model_calls_of(jsonb_build_object('model_calls', p_calls)) r;
  perform add_spend(p_tenant, 'files', null, sum(r.cost_usd), count(*)::int,
      (count(*) filter (where r.cost_usd is null))::int, 0, clock(p_now))
    from model_calls_of(jsonb_build_object('model_calls', p_calls)) r having count(*) > 0;
  -- nobody knows what the speech service takes for a second
  perform add_spend(p_tenant, 'audio', null, 0, 1, 1, p_seconds, clock(p_now)) where p_seconds > 0;
end $function$;
revoke all on function public.record_media(text,text,timestamp with time zone,text,text,numeric,jsonb,timestamp with time zone) from public;
grant execute on function public.record_media(text,text,timestamp with time zone,text,text,numeric,jsonb,timestamp with time zone) to service_role;
grant execute on function public.record_media(text,text,timestamp with time zone,text,text,numeric,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.record_message(p_instance public.instances, p_event jsonb, p_options jsonb, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_now timestamptz := clock(p_now);
  v_from_me boolean := (p_event ->> 'fromMe')::boolean;
  v_sent_at timestamptz := least((p_event ->> 'sentAt')::timestamptz, v_now);
  v_provider text := p_event ->> 'providerId';
  v_alt jsonb := nullif(p_event -> 'alt', 'null');
  v_known messages;
  v_contact bigint;
  v_key text;
  v_conversation conversations;
  v_judged jsonb;
  v_id bigint;
  v_done jsonb;
begin
  v_known := known_message(p_instance.id, v_provider, p_event -> 'chat', v_alt, v_from_me);
  if v_known.id is not null then v_done := meet_known(p_instance, v_known, p_event, v_sent_at, v_now);
  elsif v_from_me or p_event ? 'revised' then v_done := meet_unknown(p_instance, p_event, v_sent_at, v_now); end if;
  if v_done is not null then return v_done; end if;

  v_contact := message_contact(p_instance, p_event, v_sent_at, v_now);
  if v_contact is null then return jsonb_build_object('outcome', 'erased', 'wake', false); end if;
  -- before the conversation's lock, in the same order as everybody
  if v_from_me then v_key := lock_typed(p_instance.id, p_event -> 'content' ->> 'typed', v_contact); end if;
  if v_known.id is null then
    v_conversation := ensure_conversation(p_instance, v_contact, p_event ->> 'jid', not v_from_me);
    if v_from_me then v_done := meet_own_words(v_conversation, p_event, v_sent_at, v_now); end if;
    if v_done is not null then return v_done; end if;
  else
    select c.* into v_conversation from conversations c join messages m on m.conversation_id = c.id
      where m.id = v_known.id for no key update of c;
    select * into v_known from messages where id = v_known.id for update;
    -- somebody else was quicker
    if not lacks_words(v_known, v_from_me) then
      return repeated_message(p_instance, v_known, p_event, false, v_now);
    end if;
  end if;
  perform lock_provider_id(p_instance.id, v_provider);
  -- stored just now, here or under the person's other address: from the beginning, since it may lack the words that
  -- this one brings
  if v_known.id is null and (known_message(p_instance.id, v_provider, p_event -> 'chat', v_alt, v_from_me)).id > 0 then
    return record_message(p_instance, p_event, p_options, p_now);
  end if;

  if v_from_me or jsonb_typeof(p_event -> 'meaning') <> 'null' then
    v_judged := judge_event(p_instance, v_conversation, p_event, p_options, v_key, v_sent_at, v_known.id, v_now);
  end if;
  v_id := store_message(v_conversation, v_known.id, p_event, v_judged, v_sent_at, p_options ->> 'correlationId', v_now);
  -- rare, as what follows: a look costs a tenth of a call for nothing
  if exists (select from early_updates where instance_id = p_instance.id and provider_id = v_provider) then
    perform apply_early(p_instance.id, v_provider, p_now);
  end if;

  return jsonb_build_object('conversation_id', v_conversation.id, 'message_id', v_id, 'wake', false) || case
    when is_context(p_event) then jsonb_build_object('outcome', 'context')
    when v_from_me then take_own(v_conversation, v_id, v_sent_at, v_key, coalesce(v_judged ->> 'verdict', 'person'),
      v_judged -> 'meaning' ->> 'handset', p_options, v_now)
    when v_judged -> 'meaning' ? 'command' then jsonb_build_object('outcome', 'command', 'wake', true, 'inbound_at',
      v_now)
    else take_inbound(v_conversation, v_id, v_contact, v_judged -> 'meaning' ->> 'intent', v_sent_at, p_options,
      v_now) end;
end $function$;
revoke all on function public.record_message(public.instances,jsonb,jsonb,timestamp with time zone) from public;
grant execute on function public.record_message(public.instances,jsonb,jsonb,timestamp with time zone) to service_role;
grant execute on function public.record_message(public.instances,jsonb,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.record_model_calls(p_turn public.turns, p_result jsonb, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_lost numeric; v_spent numeric; v_calls int; v_unpriced int; v_instance bigint;
begin
  -- it was taken for dead, and its reservation for spent: now it tells what it was
  if p_turn.status = 'expired' then
    delete from model_calls where turn_id = p_turn.id and outcome = 'worker_lost' returning cost_usd into v_lost;
  end if;
  with added as (
  insert into model_calls (tenant_id, turn_id, model, outcome, ms, input_tokens, output_tokens, thinking_tokens,
    cache_read_tokens, cache_write_tokens, cost_usd, estimated, detail, cache_miss)
    select p_turn.tenant_id, p_turn.id, r.model, r.outcome, r.ms, r.input_tokens, r.output_tokens,
      coalesce(r.thinking_tokens, 0), r.cache_read_tokens, r.cache_write_tokens, r.cost_usd,
      coalesce(r.estimated, false), r.detail, r.cache_miss
    from model_calls_of(p_result) r
    where not exists (select 1 from model_calls m where m.turn_id = p_turn.id and m.outcome <> 'worker_lost')
    returning cost_usd)
  select sum(cost_usd), count(*), count(*) filter (where cost_usd is null) into v_spent, v_calls, v_unpriced from added;
  delete from spend_reservations where turn_id = p_turn.id;
  if v_calls > 0 or v_lost is not null then
    select instance_id into v_instance from conversations where id = p_turn.conversation_id;
    perform add_spend(p_turn.tenant_id, 'model', v_instance, coalesce(v_spent, 0) - coalesce(v_lost, 0),
      v_calls - (v_lost is not null)::int, v_unpriced, 0, p_now);
  end if;
  update turns t set model = coalesce(p_result ->> 'model', t.model),
      prompt_hash = coalesce(p_result ->> 'prompt_hash', t.prompt_hash),
      verdict = coalesce(p_result ->> 'verdict', t.verdict), route = coalesce(p_result ->> 'route', t.route),
      agent_id = coalesce((p_result ->> 'agent_id')::bigint, t.agent_id),
      transcript = coalesce(p_result -> 'transcript', t.transcript), input_tokens = s.i, output_tokens = s.o,
      thinking_tokens = s.t, cache_read_tokens = s.r, cache_write_tokens = s.w, cost_usd = s.c, unpriced_calls = s.u
    from (select coalesce(sum(input_tokens), 0) i, coalesce(sum(output_tokens), 0) o,
      coalesce(sum(thinking_tokens), 0) t, coalesce(sum(cache_read_tokens), 0) r,
      coalesce(sum(cache_write_tokens), 0) w, coalesce(sum(cost_usd), 0) c, count(*) filter (where cost_usd is null) u
        from model_calls where turn_id = p_turn.id) s
    where t.id = p_turn.id;
end $function$;
revoke all on function public.record_model_calls(public.turns,jsonb,timestamp with time zone) from public;
grant execute on function public.record_model_calls(public.turns,jsonb,timestamp with time zone) to service_role;
grant execute on function public.record_model_calls(public.turns,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.record_plain(p_webhooks jsonb, p_heard public.heard_event[], p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare v_results jsonb := '{}'; v_all jsonb;
begin
  if exists (select from unnest(p_heard) where plain and (kind = 'ack' or from_me)) then
    v_results := plain_receipts(p_heard, p_now);
  end if;
  if exists (select from unnest(p_heard) where plain and kind = 'message' and not from_me) then
    v_results := v_results || plain_words(p_heard, v_results, p_now);
  end if;
  if v_results = '{}' then return v_results; end if;
  with plain as materialized (
      select w.webhook, h.n, nextval('webhook_events_id_seq') as id, h.tenant_id,
        jsonb_build_array(v_results -> h.n::text) as results
      from unnest(p_heard) h join jsonb_array_elements(p_webhooks) with ordinality w (webhook, n) on w.n = h.n
      where v_results ? h.n::text),
    kept as (
      insert into webhook_events (id, tenant_id, instance, event, body, results, request_id, posted_by, received_at)
        overriding system value
        select id, tenant_id, webhook ->> 'instance', webhook ->> 'event', webhook -> 'raw', results,
          webhook ->> 'requestId', coalesce(webhook -> 'from', '{"tenant": "default"}'), p_now from plain)
  select jsonb_object_agg(n, jsonb_build_object('webhook_id', id, 'tenant_id', tenant_id, 'results', results))
    into v_all from plain;
  return v_all;
end $function$;
revoke all on function public.record_plain(jsonb,public.heard_event[],timestamp with time zone) from public;
grant execute on function public.record_plain(jsonb,public.heard_event[],timestamp with time zone) to service_role;
grant execute on function public.record_plain(jsonb,public.heard_event[],timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.record_push(p_id bigint, p_claim bigint, p_seq bigint, p_fault text, p_wait_ms bigint, p_patience_ms bigint, p_lease_ms integer, p_last boolean, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v subscriptions; v_disabled boolean := false;
begin
  select * into v from subscriptions where id = p_id for update;
  if v.claim is distinct from p_claim or v.status <> 'active' then
    return jsonb_build_object('recorded', false, 'disabled', false);
  end if;
  if p_fault is null then
    update subscriptions set cursor = p_seq, failures = 0, failing_since = null, last_fault = null,
      delivered_at = v_now, due_at = v_now, lease_until = case when not p_last then v_now
        + make_interval(secs => p_lease_ms / 1000.0) end where id = p_id;
  else
    v_disabled := v_now - coalesce(v.failing_since, v_now) >= make_interval(secs => p_patience_ms / 1000.0);
    update subscriptions set failures = failures + 1, failing_since = coalesce(failing_since, v_now),
      last_fault = p_fault, due_at = v_now + make_interval(secs => p_wait_ms / 1000.0), lease_until = null,
      status = case when v_disabled then 'disabled' else 'active' end where id = p_id;
  end if;
  return jsonb_build_object('recorded', true, 'disabled', v_disabled);
end $function$;
revoke all on function public.record_push(bigint,bigint,bigint,text,bigint,bigint,integer,boolean,timestamp with time zone) from public;
grant execute on function public.record_push(bigint,bigint,bigint,text,bigint,bigint,integer,boolean,timestamp with time zone) to service_role;
grant execute on function public.record_push(bigint,bigint,bigint,text,bigint,bigint,integer,boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.record_send(p_message bigint, p_claim bigint, p_outcome jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v_message messages; v_kind text := p_outcome ->> 'kind'; v_taken bigint;
begin
  perform 1 from conversations where id = (select conversation_id from messages where id = p_message) for no key update;
  select * into v_message from messages where id = p_message for update;
  if not found or v_message.claim <> p_claim
    then return jsonb_build_object('outcome', 'stale', 'status', v_message.status); end if;
  if v_kind = 'sent' then
    -- an echo or a look-up goes by the words, this answer by the call: a row with equal words that took this id gives
    -- it back
    update messages set provider_id = null, delivered_at = null, read_at = null
      where instance_id = v_message.instance_id and provider_id = p_outcome ->> 'provider_id' and id <> v_message.id
        and direction = 'out' and author in ('agent', 'system') returning id into v_taken;
    if found then perform give_up_send(v_taken, 'echo_of_another', v_now); end if;
    perform settle_sent(v_message.id, p_outcome ->> 'provider_id', v_now, v_now);
    if p_outcome ->> 'jid' like '%@s.whatsapp.net' and v_message.sent_to like '%@s.whatsapp.net' then
      perform confirm_address((select contact_id from conversations where id = v_message.conversation_id),
        p_outcome ->> 'jid');
      update conversations set jid = p_outcome ->> 'jid' where id = v_message.conversation_id
        and jid = v_message.sent_to
        and jid <> p_outcome ->> 'jid';
    end if;
  elsif v_message.status not in ('sending', 'uncertain') then
    return jsonb_build_object('outcome', 'stale', 'status', v_message.status);
  elsif v_kind = 'uncertain' then
    update messages set status = 'uncertain', reason = p_outcome ->> 'class', error_class = p_outcome ->> 'class',
      lease_until = null, slot_at = v_now,
      due_at = v_now + make_interval(secs => (p_outcome ->> 'look_ms')::int / 1000.0) where id = v_message.id;
  elsif v_kind = 'retry' then
    update messages set status = 'queued', reason = p_outcome ->> 'class', error_class = p_outcome ->> 'class',
      lease_until = null, slot_at = null,
      attempts = attempts - case when (p_outcome ->> 'counts')::boolean then 0 else 1 end,
      due_at = v_now + make_interval(secs => (p_outcome ->> 'delay_ms')::int / 1000.0),
        goes_at = v_now + make_interval(secs => (p_outcome ->> 'delay_ms')::int / 1000.0)
      where id = v_message.id;
  elsif p_outcome ->> 'class' = 'not_on_whatsapp' and refuse_address((select c from conversations c
    where c.id = v_message.conversation_id), v_message, v_now) then
    update messages set status = 'queued', reason = 'address_refused', error_class = 'not_on_whatsapp',
      lease_until = null, slot_at = null, attempts = attempts - 1,
      due_at = v_now, goes_at = v_now where id = v_message.id;
  else
    update messages set slot_at = null where id = v_message.id;
    perform fail_send(v_message.id, p_outcome ->> 'class', v_now);
  end if;
  if jsonb_typeof(p_outcome -> 'trouble') = 'object' then
    perform number_trouble(v_message.instance_id, p_outcome -> 'trouble', v_now);
  elsif v_kind = 'sent' then
    perform number_sent(v_message.instance_id, is_proactive(v_message.kind), v_now);
  end if;
  select * into v_message from messages where id = p_message;
  return jsonb_build_object('outcome', 'recorded', 'status', v_message.status, 'more',
    has_sends(v_message.conversation_id));
end $function$;
revoke all on function public.record_send(bigint,bigint,jsonb,timestamp with time zone) from public;
grant execute on function public.record_send(bigint,bigint,jsonb,timestamp with time zone) to service_role;
grant execute on function public.record_send(bigint,bigint,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.record_sends(p_items jsonb, p_policy jsonb DEFAULT NULL::jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_done jsonb;
  v_result jsonb;
  v_item jsonb;
  v_n bigint;
begin
  perform lock_lanes(array(select (x ->> 'conversation_id')::bigint from jsonb_array_elements(p_items) x));
  perform lock_provider_id(k.instance_id, k.id) from (select c.instance_id, x -> 'outcome' ->> 'provider_id' as id
    from jsonb_array_elements(p_items) x join conversations c on c.id = (x ->> 'conversation_id')::bigint
    where x -> 'outcome' ->> 'kind' = 'sent' order by 1, 2) k;
  v_done := record_arrived(p_items, clock(p_now));
  for v_item, v_n in select x, n from jsonb_array_elements(p_items) with ordinality e (x, n)
    where not v_done ? n::text order by (x ->> 'conversation_id')::bigint, n loop
    v_result := record_send((v_item ->> 'message_id')::bigint, (v_item ->> 'claim')::bigint, v_item -> 'outcome',
      p_now);
    v_done := v_done || jsonb_build_object(v_n, v_result || jsonb_build_object('next', null, 'ask',
      (v_result ->> 'more')::boolean and (v_item ->> 'next')::boolean
        and v_item -> 'outcome' ->> 'kind' in ('sent', 'failed')));
  end loop;
  return claim_asked(p_items, v_done, 'next', p_policy, p_now);
end $function$;
revoke all on function public.record_sends(jsonb,jsonb,timestamp with time zone) from public;
grant execute on function public.record_sends(jsonb,jsonb,timestamp with time zone) to service_role;
grant execute on function public.record_sends(jsonb,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.record_summary(p_conversation bigint, p_id bigint, p_lease timestamp with time zone, p_words text, p_model text, p_calls jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_kept boolean;
begin
  perform 1 from conversations where id = p_conversation for no key update;
  -- what failed is not tried again before its lease is over
  update summaries set words = p_words, model = p_model, lease_until = case when p_words is null then lease_until end,
    made_at = case when p_words is not null then clock(p_now) end
    where id = p_id and lease_until = p_lease and words is null;
  v_kept := found;
  if v_kept or not exists (select from summaries where id = p_id) then
    delete from spend_reservations where summary_id = p_id;
  end if;
  perform pay_summary(p_conversation, p_calls, clock(p_now));
  return jsonb_build_object('recorded', v_kept);
end $function$;
revoke all on function public.record_summary(bigint,bigint,timestamp with time zone,text,text,jsonb,timestamp with time zone) from public;
grant execute on function public.record_summary(bigint,bigint,timestamp with time zone,text,text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.record_summary(bigint,bigint,timestamp with time zone,text,text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.record_tool_calls(p_turn public.turns, p_calls jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  insert into tool_calls (tenant_id, turn_id, conversation_id, name, input, output, ok, ms, found, cost_usd)
    select p_turn.tenant_id, p_turn.id, p_turn.conversation_id, r.name, r.input, r.output, r.ok, r.ms,
      nullif(r.found, 'null'), r.cost_usd
    from jsonb_to_recordset(p_calls) as r (name text, input jsonb, output text, ok boolean, ms int, found jsonb,
      cost_usd numeric);
  perform add_spend(p_turn.tenant_id, 'tool', (select instance_id from conversations
      where id = p_turn.conversation_id), sum((c ->> 'cost_usd')::numeric), count(*)::int, 0, 0, clock(null))
    from jsonb_array_elements(p_calls) c where c ? 'cost_usd' having count(*) > 0;
end $function$;
revoke all on function public.record_tool_calls(public.turns,jsonb) from public;
grant execute on function public.record_tool_calls(public.turns,jsonb) to service_role;
grant execute on function public.record_tool_calls(public.turns,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.record_tool_write(p_id bigint, p_claim integer, p_end jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v tool_writes;
begin
  perform from conversations c join tool_writes w on w.conversation_id = c.id where w.id = p_id
    for no key update of c;
  select * into v from tool_writes where id = p_id for update;
  if v.status is distinct from 'sending' or v.claim <> p_claim then
    return jsonb_build_object('recorded', false, 'conversation_id', v.conversation_id);
  end if;
  if p_end ->> 'status' = 'queued' then
    update tool_writes set status = 'queued', reason = p_end ->> 'reason', lease_until = null,
      due_at = v_now + make_interval(secs => (p_end ->> 'retry_ms')::numeric / 1000) where id = p_id;
  else
    perform end_tool_write(p_id, p_end ->> 'status', p_end ->> 'reason', p_end ->> 'answer', v_now);
    if v.definition ? 'price_usd' then
      perform add_spend(v.tenant_id, 'tool', (select instance_id from conversations where id = v.conversation_id),
        (v.definition ->> 'price_usd')::numeric, 1, 0, 0, v_now);
    end if;
  end if;
  return jsonb_build_object('recorded', true, 'conversation_id', v.conversation_id);
end $function$;
revoke all on function public.record_tool_write(bigint,integer,jsonb,timestamp with time zone) from public;
grant execute on function public.record_tool_write(bigint,integer,jsonb,timestamp with time zone) to service_role;
grant execute on function public.record_tool_write(bigint,integer,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.record_transition(p_transition jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  insert into circuit_transitions (breaker, instance, process, state, reason, created_at)
    values (p_transition ->> 'breaker', p_transition ->> 'instance', p_transition ->> 'process',
      p_transition ->> 'state', p_transition ->> 'reason',
      coalesce((p_transition ->> 'at')::timestamptz, now()));
  return '{}';
end $function$;
revoke all on function public.record_transition(jsonb) from public;
grant execute on function public.record_transition(jsonb) to service_role;
grant execute on function public.record_transition(jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.record_try(p_tenant text, p_slug text, p_version integer, p_actor text, p_model text, p_usd numeric, p_calls integer, p_unpriced integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  perform add_spend(p_tenant, 'try', null, p_usd, p_calls, p_unpriced, 0, clock(p_now));
  insert into audit_log (tenant_id, actor, action, subject, details) values (p_tenant, p_actor, 'agent.tried', p_slug,
    jsonb_build_object('version', p_version, 'model', p_model, 'cost_usd', p_usd, 'unpriced', p_unpriced));
  return '{}';
end $function$;
revoke all on function public.record_try(text,text,integer,text,text,numeric,integer,integer,timestamp with time zone) from public;
grant execute on function public.record_try(text,text,integer,text,text,numeric,integer,integer,timestamp with time zone) to service_role;
grant execute on function public.record_try(text,text,integer,text,text,numeric,integer,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.refuse_address(p_conversation public.conversations, p_message public.messages, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_row bigint := address_row(p_conversation.contact_id, p_message.sent_to);
begin
  update contact_addresses set written = null where id = v_row and written is not null;
  if found then return true; end if;
  update contact_addresses set refused_at = p_now where id = v_row;
  if p_message.kind = 'operator' or not turn_address(p_conversation, p_message.sent_to, p_now) then return false;
  end if;
  return (select send_jid(p_message, c) <> p_message.sent_to from conversations c where c.id = p_conversation.id);
end $function$;
revoke all on function public.refuse_address(public.conversations,public.messages,timestamp with time zone) from public;
grant execute on function public.refuse_address(public.conversations,public.messages,timestamp with time zone) to service_role;
grant execute on function public.refuse_address(public.conversations,public.messages,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.release_held(p_tenant text, p_instance text, p_reasons text[], p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_lanes jsonb;
begin
  with freed as (
      update messages m set due_at = p_now, goes_at = null from outbox o join instances i on i.id = o.instance_id
      where m.id = o.message_id and i.tenant_id = p_tenant and i.name = coalesce(p_instance, i.name)
        and o.reason = any (p_reasons) and m.status = 'queued' and is_proactive(m.kind)
        and m.reason = any (p_reasons) and m.due_at > p_now returning m.conversation_id, m.priority, m.id)
    select coalesce(jsonb_agg(l.conversation_id), '[]') into v_lanes
      from (select f.conversation_id from freed f group by 1 order by min(f.priority), min(f.id) limit 500) l;
  return v_lanes;
end $function$;
revoke all on function public.release_held(text,text,text[],timestamp with time zone) from public;
grant execute on function public.release_held(text,text,text[],timestamp with time zone) to service_role;
grant execute on function public.release_held(text,text,text[],timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.release_number(p_instance public.instances, p_why text, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update instances set held_reason = null, held_until = null, judged_from = p_now where id = p_instance.id;
  update messages m set due_at = p_now from outbox o where o.instance_id = p_instance.id and is_proactive(o.kind)
    and o.reason like 'number\_%' and m.id = o.message_id and m.status = 'queued' and m.reason like 'number\_%'
    and m.due_at > p_now;
  perform note_instance(p_instance, 'released', p_instance.held_reason,
    jsonb_build_object('why', p_why, 'since', p_instance.held_since), p_now);
  insert into circuit_transitions (tenant_id, breaker, instance, process, state, reason, created_at)
    values (p_instance.tenant_id, 'number', p_instance.name, 'database', 'closed', p_why, p_now);
end $function$;
revoke all on function public.release_number(public.instances,text,timestamp with time zone) from public;
grant execute on function public.release_number(public.instances,text,timestamp with time zone) to service_role;
grant execute on function public.release_number(public.instances,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.release_sends(p_instance text, p_reasons jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_lanes jsonb;
begin
  with freed as (
    update messages m set due_at = least(m.due_at, clock(p_now)) from outbox o join instances i on i.id = o.instance_id
      where i.name = p_instance and m.id = o.message_id and p_reasons ? o.reason and m.status = 'queued'
        and p_reasons ? m.reason
      returning m.conversation_id, m.priority, m.id)
  select coalesce(jsonb_agg(l.conversation_id), '[]') into v_lanes
    from (select f.conversation_id from freed f group by 1 order by min(f.priority), min(f.id) limit 500) l;
  return v_lanes;
end $function$;
revoke all on function public.release_sends(text,jsonb,timestamp with time zone) from public;
grant execute on function public.release_sends(text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.release_sends(text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.remember_fact(p_contact bigint, p_fact jsonb, p_message bigint, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_kind text := coalesce(p_fact ->> 'kind', 'other');
  v_about text := coalesce(nullif(p_fact ->> 'about', ''),
    case when v_kind in ('name', 'address') then '' else lower(p_fact ->> 'fact') end);
begin
  perform from contacts where id = p_contact for no key update;
  if exists (select from contact_facts where contact_id = p_contact and replaced_at is null
      and fact = p_fact ->> 'fact') then
    return;
  end if;
  update contact_facts set replaced_at = p_now
    where contact_id = p_contact and kind = v_kind and about = v_about and replaced_at is null;
  insert into contact_facts (tenant_id, contact_id, kind, about, fact, message_id, noted_at)
    select tenant_id, id, v_kind, v_about, p_fact ->> 'fact', p_message, p_now from contacts where id = p_contact;
  update contact_facts set replaced_at = p_now
    where id in (select id from contact_facts where contact_id = p_contact and replaced_at is null
      order by noted_at desc, id desc offset 50);
end $function$;
revoke all on function public.remember_fact(bigint,jsonb,bigint,timestamp with time zone) from public;
grant execute on function public.remember_fact(bigint,jsonb,bigint,timestamp with time zone) to service_role;
grant execute on function public.remember_fact(bigint,jsonb,bigint,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.remember_forged(p_instance public.instances, p_event jsonb, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE sql
AS $function$
  insert into forged_messages (tenant_id, instance_id, hash, chats, until)
    select p_instance.tenant_id, p_instance.id, message_hash(p_instance.id, p_event ->> 'providerId'),
      chat_hashes(p_instance.id, p_event -> 'forged' -> 'chats'),
      greatest(p_now, (p_event -> 'forged' ->> 'stamp')::timestamptz) + interval '3 days'
    on conflict (instance_id, hash) do update set until = greatest(forged_messages.until, excluded.until),
      chats = case when forged_messages.chats && excluded.chats then forged_messages.chats || excluded.chats
        else '{}' end
$function$;
revoke all on function public.remember_forged(public.instances,jsonb,timestamp with time zone) from public;
grant execute on function public.remember_forged(public.instances,jsonb,timestamp with time zone) to service_role;
grant execute on function public.remember_forged(public.instances,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.reminder_text(p_reminder public.reminders, p_tz text, p_now timestamp with time zone)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select 'Lembrete: ' || p_reminder.about || coalesce(' (' || case d.ahead when 0 then 'hoje' when 1 then 'amanhã'
      else (array['domingo', 'segunda-feira', 'terça-feira', 'quarta-feira', 'quinta-feira', 'sexta-feira',
        'sábado'])[extract(dow from d.local)::int + 1] end
    || to_char(d.local, ', DD/MM, "às" HH24:MI') || ')', '')
  from (select p_reminder.event_at at time zone p_tz as local, (p_reminder.event_at at time zone p_tz)::date
    - (p_now at time zone p_tz)::date as ahead) d
$function$;
revoke all on function public.reminder_text(public.reminders,text,timestamp with time zone) from public;
grant execute on function public.reminder_text(public.reminders,text,timestamp with time zone) to service_role;
grant execute on function public.reminder_text(public.reminders,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.remove_knowledge(p_tenant text, p_name text, p_actor text)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  perform from tenants where id = p_tenant for no key update;
  delete from knowledge where tenant_id = p_tenant and name = p_name;
  if not found then return false; end if;
  update tenants set knowledge_revision = knowledge_revision + 1 where id = p_tenant;
  insert into audit_log (tenant_id, actor, action, subject)
    values (p_tenant, p_actor, 'knowledge.remove', p_name);
  return true;
end $function$;
revoke all on function public.remove_knowledge(text,text,text) from public;
grant execute on function public.remove_knowledge(text,text,text) to service_role;
grant execute on function public.remove_knowledge(text,text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.remove_subscription(p_tenant text, p_id bigint, p_actor text)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v subscriptions;
begin
  delete from subscriptions where tenant_id = p_tenant and id = p_id returning * into v;
  if not found then return false; end if;
  delete from tenant_secrets where tenant_id = p_tenant and name in (v.secret, v.secret || '_OLD');
  insert into audit_log (tenant_id, actor, action, subject) values (p_tenant, p_actor, 'subscription.remove',
    p_id::text);
  return true;
end $function$;
revoke all on function public.remove_subscription(text,bigint,text) from public;
grant execute on function public.remove_subscription(text,bigint,text) to service_role;
grant execute on function public.remove_subscription(text,bigint,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.remove_tool(p_tenant text, p_name text, p_actor text)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update http_tools set removed_at = now() where tenant_id = p_tenant and name = p_name and removed_at is null;
  if not found then return false; end if;
  insert into audit_log (tenant_id, actor, action, subject) values (p_tenant, p_actor, 'tool.remove', p_name);
  return true;
end $function$;
revoke all on function public.remove_tool(text,text,text) from public;
grant execute on function public.remove_tool(text,text,text) to service_role;
grant execute on function public.remove_tool(text,text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.renew_send(p_message bigint, p_claim bigint, p_lease_ms integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update messages set lease_until = clock(p_now) + make_interval(secs => p_lease_ms / 1000.0)
    where id = p_message and claim = p_claim and status = 'sending';
  return jsonb_build_object('alive', found);
end $function$;
revoke all on function public.renew_send(bigint,bigint,integer,timestamp with time zone) from public;
grant execute on function public.renew_send(bigint,bigint,integer,timestamp with time zone) to service_role;
grant execute on function public.renew_send(bigint,bigint,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.renew_turn(p_turn bigint, p_fence bigint, p_lease_ms integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  return renew_turns(jsonb_build_array(jsonb_build_object('turn', p_turn, 'fence', p_fence)), p_lease_ms, p_now) -> 0;
end $function$;
revoke all on function public.renew_turn(bigint,bigint,integer,timestamp with time zone) from public;
grant execute on function public.renew_turn(bigint,bigint,integer,timestamp with time zone) to service_role;
grant execute on function public.renew_turn(bigint,bigint,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.renew_turns(p_turns jsonb, p_lease_ms integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 SET search_path TO 'public', 'pg_temp'
AS $function$
  with now as materialized (select clock(p_now) as at),
    asked as materialized (select (x ->> 'turn')::bigint as id, (x ->> 'fence')::bigint as fence, n
      from jsonb_array_elements(p_turns) with ordinality e (x, n)),
    free as materialized (select t.id from turns t where t.id in (select id from asked) and t.status = 'open'
      order by t.id for no key update skip locked),
    kept as (update turns t set lease_until = now.at + make_interval(secs => p_lease_ms / 1000.0)
      from asked a, free f, now where t.id = a.id and f.id = t.id and t.fence = a.fence and t.status = 'open')
  select coalesce(jsonb_agg(jsonb_build_object('alive', t.id is not null,
      'newer', coalesce(c.inbound_seq > t.inbound_seq and c.superseded_in_row < 2, false),
      'stop', case when t.id is not null then silenced_by(c, now.at) end) order by a.n), '[]')
    from asked a cross join now left join turns t on t.id = a.id and t.fence = a.fence and t.status = 'open'
      left join conversations c on c.id = t.conversation_id
$function$;
revoke all on function public.renew_turns(jsonb,integer,timestamp with time zone) from public;
grant execute on function public.renew_turns(jsonb,integer,timestamp with time zone) to service_role;
grant execute on function public.renew_turns(jsonb,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.reopen_inbound(p_tenant text, p_instance text, p_provider_id text, p_chat jsonb, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_conversation conversations; v_message messages; v_now timestamptz := clock(p_now);
begin
  v_message := known_message((select i.id from instances i where i.name = p_instance and i.tenant_id = p_tenant),
    p_provider_id,
    p_chat, null, false);
  select c.* into v_conversation from conversations c where c.id = v_message.conversation_id for update;
  select x.* into v_message from messages x where x.id = v_message.id for update;
  if not found or v_message.direction <> 'in' or v_message.type = 'reaction' or v_message.deleted_at is not null
    then return jsonb_build_object('outcome', 'not_possible'); end if;
  if v_message.status = 'received'
    then return jsonb_build_object('outcome', 'waiting', 'message_id', v_message.id, 'conversation_id',
    v_conversation.id); end if;
  update messages set status = 'received', reason = null, turn_id = null where id = v_message.id;
  update conversations set inbound_seq = inbound_seq + 1, failed_in_row = 0, failing_since = null
    where id = v_conversation.id;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'replay.force', v_message.id::text,
      jsonb_build_object('reason', p_reason, 'was', v_message.status, 'because', v_message.reason), v_now);
  return jsonb_build_object('outcome', 'reopened', 'message_id', v_message.id, 'conversation_id', v_conversation.id,
    'was', v_message.status, 'provider_at', v_message.provider_at,
    'holder', conversation_holder(v_conversation, v_now),
    'paused', (select pause_reason(v_conversation.tenant_id, i.name, v_conversation.id, null) from instances i
      where i.id = v_conversation.instance_id));
end $function$;
revoke all on function public.reopen_inbound(text,text,text,jsonb,text,text,timestamp with time zone) from public;
grant execute on function public.reopen_inbound(text,text,text,jsonb,text,text,timestamp with time zone) to service_role;
grant execute on function public.reopen_inbound(text,text,text,jsonb,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.repeated_message(p_instance public.instances, p_message public.messages, p_event jsonb, p_wordless boolean, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if gone_meanwhile(p_message) then return jsonb_build_object('outcome', 'erased', 'wake', false); end if;
  if p_event ? 'revised' and not p_wordless and p_message.text is distinct from p_event -> 'content' ->> 'text' then
    return apply_update(p_instance.id, jsonb_build_object('kind', 'edit', 'providerId', p_message.provider_id, 'chat',
      p_event -> 'chat', 'fromMe', p_event -> 'fromMe', 'text', p_event -> 'content' ->> 'text',
      'typed', p_event -> 'content' ->> 'typed', 'changedAt', p_now, 'meaning', p_event -> 'meaning',
      'from', p_event -> 'from'), p_now);
  end if;
  return jsonb_build_object('outcome', 'duplicate', 'conversation_id', p_message.conversation_id,
    'message_id', p_message.id, 'wake', p_message.status = 'received',
    'first_pending_at', first_pending(p_message.conversation_id), 'inbound_at', p_now);
end $function$;
revoke all on function public.repeated_message(public.instances,public.messages,jsonb,boolean,timestamp with time zone) from public;
grant execute on function public.repeated_message(public.instances,public.messages,jsonb,boolean,timestamp with time zone) to service_role;
grant execute on function public.repeated_message(public.instances,public.messages,jsonb,boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.replay_subscription(p_tenant text, p_id bigint, p_after bigint, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v subscriptions; v_feed event_feeds; v_cursor bigint;
begin
  select * into v from subscriptions where tenant_id = p_tenant and id = p_id for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  perform keep_events(p_tenant);
  select * into v_feed from event_feeds where tenant_id = p_tenant;
  v_cursor := coalesce(p_after, greatest(v.cursor, v_feed.gone));
  if v_cursor < v_feed.gone or v_cursor > v_feed.numbered then
    return jsonb_build_object('outcome', 'gone', 'cursor', v_feed.gone);
  end if;
  update subscriptions set cursor = v_cursor, status = 'active', failures = 0, failing_since = null,
    due_at = clock(p_now), claim = claim + 1, lease_until = null where id = p_id;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at) values (p_tenant, p_actor,
    'subscription.replay', p_id::text, jsonb_build_object('after', v_cursor), clock(p_now));
  return jsonb_build_object('outcome', 'again', 'cursor', v_cursor);
end $function$;
revoke all on function public.replay_subscription(text,bigint,bigint,text,timestamp with time zone) from public;
grant execute on function public.replay_subscription(text,bigint,bigint,text,timestamp with time zone) to service_role;
grant execute on function public.replay_subscription(text,bigint,bigint,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.report_figures(p_tenant text, p_from timestamp with time zone, p_to timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  with inbound as (
    select * from messages where created_at >= p_from and created_at < p_to and direction = 'in'
      and tenant_id = p_tenant and type <> 'reaction'
  ), outbound as (
    select * from messages where created_at >= p_from and created_at < p_to and direction = 'out' and kind is not null
      and tenant_id = p_tenant
  ), done as (
    select * from turns where started_at >= p_from and started_at < p_to and tenant_id = p_tenant
  ), replies as (
    select extract(epoch from o.slot_at - (select min(i.created_at) from messages i
      where i.turn_id = o.turn_id and i.direction = 'in')) as seconds
    from outbound o where o.kind = 'reply' and o.part <= 1 and o.status in ('sent', 'delivered', 'read')
  )
  select jsonb_build_object(
    'received', (select count(*) from inbound), 'conversations', (select count(distinct conversation_id) from inbound),
    'new_contacts', (select count(*) from contacts where created_at >= p_from and created_at < p_to
      and tenant_id = p_tenant and merged_into is null),
    'answered', (select count(*) from done where status = 'committed'), 'handed_over', (select count(*) from done
      where status = 'handed_over'),
    'failed_turns', (select count(*) from done where status in ('failed', 'expired')),
    'sent', (select coalesce(jsonb_object_agg(kind, n), '{}') from (select kind, count(*) as n from outbound
      where status in ('sent', 'delivered', 'read') group by kind) k),
    'failed', (select count(*) from outbound where status = 'failed'),
    'reply_seconds_median', (select percentile_cont(0.5) within group (order by seconds) from replies),
    'reply_seconds_p95', (select percentile_cont(0.95) within group (order by seconds) from replies),
    'opt_outs', (select count(*) from opt_outs where created_at >= p_from and created_at < p_to
      and tenant_id = p_tenant),
    'tokens', (select coalesce(sum(input_tokens + output_tokens + cache_read_tokens + cache_write_tokens), 0)
      from done), 'cost_usd', (select coalesce(sum(cost_usd), 0) from done),
    'unpriced_calls', (select coalesce(sum(unpriced_calls), 0) from done),
    'unanswered', (select count(*) from inbox where tenant_id = p_tenant),
    'with_people', (select count(*) from handoffs where status <> 'returned' and tenant_id = p_tenant))
$function$;
revoke all on function public.report_figures(text,timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.report_figures(text,timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.report_figures(text,timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.resend_order_notice(p_id bigint, p_request jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_now timestamptz := clock(p_now);
  v_first order_notices;
  v_origin bigint;
  v_queued jsonb;
  v_row order_notices;
begin
  select * into v_first from order_notices where id = p_id and tenant_id = p_request ->> 'tenant';
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v_first.outcome = 'deduped' then return jsonb_build_object('outcome', 'repeat'); end if;
  v_origin := coalesce(v_first.resend_of, v_first.id);
  perform 1 from order_notices where id = v_origin for update;
  if exists (select from order_notices n join messages m on m.id = n.message_id
    where (n.id = v_origin or n.resend_of = v_origin) and m.status in ('queued', 'sending', 'uncertain')) then
    return jsonb_build_object('outcome', 'under_way');
  end if;
  v_queued := enqueue_message(p_request || jsonb_build_object('kind', 'transactional', 'phone', v_first.phone, 'text',
    v_first.text), p_now);
  insert into order_notices (tenant_id, type, reference, phone, data, text, fingerprint, outcome, message_id, resend_of,
      test, asked_by, created_at)
    values (v_first.tenant_id, v_first.type, v_first.reference, v_first.phone, v_first.data, v_first.text,
      v_first.fingerprint, 'queued', (v_queued ->> 'id')::bigint, v_origin, v_first.test, p_request ->> 'actor', v_now)
    returning * into v_row;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (v_first.tenant_id, p_request ->> 'actor', 'notice.resend', v_first.id::text,
      jsonb_build_object('notice', v_row.id, 'type', v_row.type), v_now);
  return jsonb_build_object('outcome', 'done', 'notice', order_notice_row(v_row), 'lane',
    v_queued -> 'conversation_id');
end $function$;
revoke all on function public.resend_order_notice(bigint,jsonb,timestamp with time zone) from public;
grant execute on function public.resend_order_notice(bigint,jsonb,timestamp with time zone) to service_role;
grant execute on function public.resend_order_notice(bigint,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.reserve_media(p_media public.media, p_usd numeric, p_model text, p_spend jsonb, p_now timestamp with time zone)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_room numeric; v_ceiling text;
begin
  if p_usd is null then return 'unpriced'; end if;
  perform lock_spend(p_media.tenant_id);
  perform settle_lost_media(p_media.id, p_now);
  select r.room, r.ceiling into v_room, v_ceiling from spend_room(p_media.tenant_id, null, p_spend, '{}', p_now) r;
  if v_room < p_usd then return v_ceiling; end if;
  insert into spend_reservations (media_id, tenant_id, model, usd, created_at)
    values (p_media.id, p_media.tenant_id, p_model, p_usd, p_now);
  return null;
end $function$;
revoke all on function public.reserve_media(public.media,numeric,text,jsonb,timestamp with time zone) from public;
grant execute on function public.reserve_media(public.media,numeric,text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.reserve_media(public.media,numeric,text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.reserve_spend(p_turn bigint, p_fence bigint, p_usd numeric, p_model text, p_spend jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_turn record; v_room numeric; v_ceiling text;
begin
  select t.id, t.tenant_id, c.contact_id, c.instance_id into v_turn from turns t
    join conversations c on c.id = t.conversation_id where t.id = p_turn and t.fence = p_fence and t.status = 'open';
  if not found then return jsonb_build_object('refused', 'lost'); end if;
  perform lock_spend(v_turn.tenant_id);
  select r.room, r.ceiling into v_room, v_ceiling
    from spend_room(v_turn.tenant_id, v_turn.contact_id, p_spend, '{}', clock(p_now)) r;
  if v_room < p_usd then
    perform tell_of_ceiling(v_turn.tenant_id, v_ceiling, 'model', p_model, clock(p_now));
    return jsonb_build_object('refused', v_ceiling);
  end if;
  -- one that was ended meanwhile has settled its row, and must get none again
  insert into spend_reservations as s (turn_id, tenant_id, contact_id, instance_id, model, usd, created_at)
    select t.id, t.tenant_id, v_turn.contact_id, v_turn.instance_id, p_model, p_usd, clock(p_now) from turns t
      where t.id = p_turn and t.fence = p_fence and t.status = 'open' for share of t
    on conflict (turn_id) do update set usd = s.usd + excluded.usd, model = excluded.model;
  return jsonb_build_object('refused', case when not found then 'lost' end);
end $function$;
revoke all on function public.reserve_spend(bigint,bigint,numeric,text,jsonb,timestamp with time zone) from public;
grant execute on function public.reserve_spend(bigint,bigint,numeric,text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.reserve_spend(bigint,bigint,numeric,text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.reserve_turns(p_ids bigint[], p_spend jsonb, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_all jsonb := '{}'; v_turn record; v_room numeric; v_ceiling text; v_usd numeric;
  v_contact text;
  v_taken jsonb := '{}';  -- what this call has reserved, see spend_room
begin
  for v_turn in select c.id, c.tenant_id, c.contact_id, coalesce(a.model, p_spend ->> 'model') as model,
        coalesce(p_spend -> 'models' -> coalesce(a.model, p_spend ->> 'model'),
          p_spend -> 'models' -> regexp_replace(coalesce(a.model, p_spend ->> 'model'), '-\d{8}$', '')) as rate,
        coalesce(octet_length(concat(a.instructions, a.tone, a.promises)), 0) + k.bytes as bytes
      from conversations c join instances i on i.id = c.instance_id cross join lateral agent_of(i) a
        cross join lateral (select coalesce(sum(octet_length(m.text) + 200), 0)
            + (select coalesce(sum(octet_length(f.fact) + 100), 0) from contact_facts f
              where f.contact_id = c.contact_id) + coalesce(octet_length(summary_of(c)), 0) as bytes
          from messages m where m.conversation_id = c.id and m.seq > greatest(0, (c.last_seq / 40 - 2) * 40)) k
      where c.id = any (p_ids) and exists (select from inbox x where x.conversation_id = c.id)
        and coalesce(silenced_by(c, p_now), 'observe') = 'observe'
      order by c.tenant_id, c.id
  loop
    if not v_taken ? v_turn.tenant_id then
      perform lock_spend(v_turn.tenant_id);
      v_taken := v_taken || jsonb_build_object(v_turn.tenant_id, 0);
    end if;
    v_contact := 'contact ' || v_turn.contact_id;
    v_usd := (v_turn.rate ->> 'call')::numeric + (v_turn.rate ->> 'byte')::numeric * v_turn.bytes;
    select r.room, r.ceiling into v_room, v_ceiling
      from spend_room(v_turn.tenant_id, v_turn.contact_id, p_spend, v_taken, p_now) r;
    if v_usd is null then
      v_ceiling := 'unpriced';
    elsif v_room >= v_usd then
      v_taken := v_taken || jsonb_build_object(v_turn.tenant_id, (v_taken ->> v_turn.tenant_id)::numeric + v_usd,
        v_contact, coalesce((v_taken ->> v_contact)::numeric, 0) + v_usd);
      v_all := v_all || jsonb_build_object(v_turn.id, jsonb_build_object('usd', v_usd, 'model', v_turn.model));
      continue;
    end if;
    perform tell_of_ceiling(v_turn.tenant_id, v_ceiling, 'person', v_turn.model, p_now);
    v_all := v_all || jsonb_build_object(v_turn.id, jsonb_build_object('refused', v_ceiling, 'told', exists (select
      from turns t where t.conversation_id = v_turn.id and t.started_at > p_now - interval '1 day'
        and t.reason like 'spend\_%' and t.status = 'committed')));
  end loop;
  return v_all;
end $function$;
revoke all on function public.reserve_turns(bigint[],jsonb,timestamp with time zone) from public;
grant execute on function public.reserve_turns(bigint[],jsonb,timestamp with time zone) to service_role;
grant execute on function public.reserve_turns(bigint[],jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.reset_breakers(p_tenant text, p_actor text, p_breaker text, p_instance text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_now timestamptz := clock(p_now);
  v instances;
  v_open jsonb;
  v_released text[] := '{}';
begin
  if p_instance is not null and not exists (select from instances where name = p_instance and tenant_id = p_tenant) then
    return jsonb_build_object('outcome', 'unknown_instance');
  end if;
  if p_tenant <> 'default' and p_breaker in ('claude', 'database')
    then return jsonb_build_object('outcome', 'not_yours'); end if;
  select coalesce(jsonb_agg(jsonb_build_object('breaker', b ->> 'name', 'instance', b ->> 'instance', 'process', p.id)),
    '[]') into v_open
    from process_status p, jsonb_array_elements(p.breakers) b
    where is_heard(p.seen_at, v_now) and b ->> 'state' <> 'closed' and (p_breaker is null or b ->> 'name' = p_breaker)
      and (b ->> 'instance' = p_instance
        or (p_instance is null and (p_tenant = 'default' or exists (select from instances i
          where i.name = b ->> 'instance' and i.tenant_id = p_tenant))));
  if p_breaker is distinct from 'number' then
    -- one at a time, so that ids are committed in their order: processes remember the newest that they have seen
    perform pg_advisory_xact_lock(hashtextextended('breaker_resets', 13));
    insert into breaker_resets (tenant_id, breaker, instance, actor, created_at)
      select p_tenant, p_breaker, n.name, p_actor, v_now from (
        select p_instance as name where p_instance is not null or p_tenant = 'default'
        union all select name from instances where tenant_id = p_tenant and p_instance is null
          and p_tenant <> 'default') n;
  end if;
  if p_breaker is null or p_breaker = 'number' then
    for v in select * from instances where tenant_id = p_tenant and held_reason is not null
      and (p_instance is null or name = p_instance) order by id for no key update loop
      update instances set trust = greatest(trust_now(v, v_now), 40), trust_at = v_now, held_since = null,
        held_in_row = 0 where id = v.id;
      perform release_number(v, 'reset by ' || p_actor, v_now);
      v_open := v_open || jsonb_build_object('breaker', 'number', 'instance', v.name, 'process', 'database');
      v_released := v_released || v.name;
    end loop;
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details)
    values (p_tenant, p_actor, 'breaker.reset', coalesce(p_breaker, 'all'),
      jsonb_build_object('instance', p_instance, 'open', v_open));
  return jsonb_build_object('outcome', 'asked', 'open', v_open, 'released', to_jsonb(v_released));
end $function$;
revoke all on function public.reset_breakers(text,text,text,text,timestamp with time zone) from public;
grant execute on function public.reset_breakers(text,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.reset_breakers(text,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.reset_user(p_tenant text, p_email text, p_hash text, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v users; v_now timestamptz := clock(p_now);
begin
  select * into v from users where email = p_email and tenant_id = p_tenant for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  update users set failures = 0, locked_until = null, disabled_at = null, disabled_by = null where id = v.id;
  perform give_password(v, p_hash, true, p_actor, v_now);
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'user.reset', p_email, jsonb_build_object('reason', p_reason, 'was_disabled',
      v.disabled_at is not null), v_now);
  return jsonb_build_object('outcome', 'reset', 'role', v.role);
end $function$;
revoke all on function public.reset_user(text,text,text,text,text,timestamp with time zone) from public;
grant execute on function public.reset_user(text,text,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.reset_user(text,text,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.restarts_in_row(p_instance public.instances, p_now timestamp with time zone)
 RETURNS integer
 LANGUAGE sql
 STABLE
AS $function$
  select case when p_instance.restarted_at is null or p_instance.restarted_at < p_now - interval '6 hours'
    or exists (select from slots s join messages m on m.id = s.message_id
      where s.instance_id = p_instance.id and s.reply in (true, false) and s.slot_at > p_instance.restarted_at
        and m.status in ('sent', 'delivered', 'read')) then 0 else p_instance.restarts end
$function$;
revoke all on function public.restarts_in_row(public.instances,timestamp with time zone) from public;
grant execute on function public.restarts_in_row(public.instances,timestamp with time zone) to service_role;
grant execute on function public.restarts_in_row(public.instances,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.restored_state(p_uncertain integer)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('uncertain', p_uncertain,
    'scheduled', (select count(*) from outbox),
    'unanswered', (select count(*) from inbox),
    'instances', (select coalesce(jsonb_agg(name order by id), '[]') from instances where restored_at is not null))
$function$;
revoke all on function public.restored_state(integer) from public;
grant execute on function public.restored_state(integer) to service_role;
grant execute on function public.restored_state(integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.resume_campaign(p_tenant text, p_name text, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v campaigns;
begin
  select * into v from campaigns where tenant_id = p_tenant and name = p_name for no key update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v.status <> 'paused' and not (v.status in ('scheduled', 'running') and campaign_paused(p_tenant, p_name)) then
    return jsonb_build_object('outcome', 'state', 'status', v.status);
  end if;
  update campaigns set status = case when started_at is null then 'scheduled' else 'running' end, reason = null,
    judged_from = v_now where id = v.id returning * into v;
  insert into julia_status (tenant_id, status, motivo, alterado_via, scope, target, created_at)
    values (p_tenant, 'ativo', p_reason, p_actor, 'campaign', v.name, v_now);
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'campaign.resume', v.name, jsonb_build_object('reason', p_reason), v_now);
  return jsonb_build_object('outcome', 'done', 'campaign', campaign_row(v), 'lanes', (select
    coalesce(jsonb_agg(distinct o.conversation_id), '[]') from outbox o where o.tenant_id = p_tenant
      and o.campaign_id = v.name));
end $function$;
revoke all on function public.resume_campaign(text,text,text,text,timestamp with time zone) from public;
grant execute on function public.resume_campaign(text,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.resume_campaign(text,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.retake_jobs(p_worker text, p_leases jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_taken jsonb;
begin
  with lost as (
    select id from job_runs where status = 'running' and lease_until <= clock(p_now) for update skip locked
  ), ended as (
    update job_runs r set status = 'failed', error = 'its scheduler died', ended_at = clock(p_now) from lost
      where r.id = lost.id and (r.attempts >= 3 or not p_leases ? r.job)
  ), taken as (
    update job_runs r set worker = p_worker, started_at = clock(p_now), attempts = r.attempts + 1,
      lease_until = clock(p_now) + make_interval(secs => (p_leases ->> r.job)::int / 1000.0) from lost
      where r.id = lost.id and r.attempts < 3 and p_leases ? r.job returning r.id, r.job, r.tick
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', id, 'job', job, 'tick', tick) order by tick), '[]') into v_taken
    from taken;
  return v_taken;
end $function$;
revoke all on function public.retake_jobs(text,jsonb,timestamp with time zone) from public;
grant execute on function public.retake_jobs(text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.retake_jobs(text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.retry_dead_letter(p_tenant text, p_message bigint, p_actor text, p_reason text DEFAULT NULL::text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_message messages; v_now timestamptz := clock(p_now); v_parts int;
begin
  perform 1 from conversations where id = (select conversation_id from messages
    where id = p_message and tenant_id = p_tenant) for update;
  select * into v_message from messages where id = p_message and tenant_id = p_tenant and direction = 'out' for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v_message.status not in ('failed', 'unproven') then
    return jsonb_build_object('outcome', 'not_dead', 'status', v_message.status, 'reason', v_message.reason);
  end if;
  if v_message.status = 'unproven' and coalesce(btrim(p_reason), '') = ''
    then return jsonb_build_object('outcome', 'reason_needed'); end if;
  update messages set status = 'queued', reason = 'retried_by_hand', error_class = null, attempts = 0, looks = 0,
    provider_id = null, lease_until = null, slot_at = null,
    -- what may have left keeps its id, so that a phone that has it drops this one; what was refused begins anew
    wire_id = case when v_message.status = 'unproven' then wire_id end, typing_until = null, due_at = v_now,
      goes_at = null
      where id = v_message.id;
  update messages set status = 'queued', reason = 'retried_by_hand', due_at = v_now, goes_at = null
    where turn_id = v_message.turn_id and direction = 'out' and status = 'cancelled' and reason = 'earlier_part_failed'
      and id > v_message.id;
  get diagnostics v_parts = row_count;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'dlq.retry', p_message::text,
    jsonb_build_object('reason', p_reason, 'was', v_message.status, 'because', v_message.reason,
      'later_parts', v_parts), v_now);
  return jsonb_build_object('outcome', 'queued', 'conversation_id', v_message.conversation_id, 'parts', v_parts,
    'paused', (select pause_reason(v_message.tenant_id, i.name, v_message.conversation_id, v_message.campaign_id)
      from instances i
      where i.id = v_message.instance_id));
end $function$;
revoke all on function public.retry_dead_letter(text,bigint,text,text,timestamp with time zone) from public;
grant execute on function public.retry_dead_letter(text,bigint,text,text,timestamp with time zone) to service_role;
grant execute on function public.retry_dead_letter(text,bigint,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.return_forgotten(p_hours integer, p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v conversations; v_all jsonb := '[]'; v_now timestamptz := clock(p_now);
v_before timestamptz := clock(p_now) - make_interval(hours => p_hours);
begin
  for v in
    select c.* from conversations c where c.controlled_by = 'human' and c.merged_into is null
      and exists (select from handoffs h where h.conversation_id = c.id and h.controls and h.status <> 'returned'
        and h.created_at <= v_before)
      and not exists (select from messages m where m.conversation_id = c.id and m.seq > c.last_seq - 20
        and (m.author in ('human', 'contact') or m.kind = 'manual') and m.created_at > v_before)
    order by c.id limit p_limit for no key update of c skip locked
  loop
    perform give_back(v.id, 'timeout', v_now);
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (v.tenant_id, 'runtime', 'handoff.return', v.id::text, jsonb_build_object('by', 'timeout', 'because',
        handoff_code(v.escalation_reason)), v_now);
    v_all := v_all || jsonb_build_object('conversation_id', v.id, 'tenant', v.tenant_id, 'name', (select name
      from contacts where id = v.contact_id),
      'handoff_id', (select max(id) from handoffs where conversation_id = v.id));
  end loop;
  return v_all;
end $function$;
revoke all on function public.return_forgotten(integer,integer,timestamp with time zone) from public;
grant execute on function public.return_forgotten(integer,integer,timestamp with time zone) to service_role;
grant execute on function public.return_forgotten(integer,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.return_handoff(p_tenant text, p_conversation bigint, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v conversations; v_n int; v_now timestamptz := clock(p_now);
begin
  select * into v from conversations where id = p_conversation and tenant_id = p_tenant for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  v_n := give_back(v.id, p_actor, v_now);
  if v_n = 0 and conversation_holder(v, v_now) in ('agent', 'manual', 'observe')
    and not coalesce(v.quiet_until > v_now, false) then
    return jsonb_build_object('outcome', 'not_with_a_person', 'mode', v.mode);
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'handoff.return', v.id::text,
    jsonb_build_object('reason', p_reason, 'was', conversation_holder(v, v_now), 'because',
      handoff_code(v.escalation_reason), 'handoffs', v_n), v_now);
  return jsonb_build_object('outcome', 'returned', 'handoffs', v_n, 'mode', v.mode,
    'paused', (select pause_reason(v.tenant_id, i.name, v.id, null) from instances i where i.id = v.instance_id));
end $function$;
revoke all on function public.return_handoff(text,bigint,text,text,timestamp with time zone) from public;
grant execute on function public.return_handoff(text,bigint,text,text,timestamp with time zone) to service_role;
grant execute on function public.return_handoff(text,bigint,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.return_technical(p_tenant text, p_by text, p_reason text, p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_now timestamptz := clock(p_now);
  v_good timestamptz := (select max(t.started_at) from (select * from turns order by id desc limit 1000) t
    where t.status = 'committed' and t.model is not null);
  h handoffs;
  v conversations;
  v_waiting int;
  v_all jsonb := '[]';
begin
  for h in
    select * from handoffs x where x.status <> 'returned' and is_technical(x.reason) and x.taken_at is null
      and x.tenant_id = coalesce(p_tenant, x.tenant_id)
      and (p_by <> 'recovered' or ((x.reason = 'no_model' or coalesce(v_good > x.created_at, false))
        and not exists (select from handoffs o
          where o.conversation_id = x.conversation_id and o.returned_by = 'recovered'
          and o.returned_at > v_now - interval '1 day')))
    order by x.id limit p_limit
  loop
    if p_by = 'recovered' then
      select * into v from conversations where id = h.conversation_id for no key update skip locked;
    else
      select * into v from conversations where id = h.conversation_id for no key update;
    end if;
    continue when not found or v.mode = 'manual' or v.takeover_until > v_now or v.merged_into is not null
      or (v.controlled_by = 'human') <> h.controls or (h.controls and v.escalation_reason is distinct from h.reason)
      or exists (select from handoffs x where x.id = h.id and (x.status = 'returned' or x.taken_at is not null))
      or exists (select from turns t where t.conversation_id = v.id and t.status = 'open' and t.lease_until > v_now)
      or exists (select from messages m where m.conversation_id = v.id and m.created_at >= h.created_at
        and m.direction = 'out' and m.type <> 'reaction'
        and (m.author = 'human' or m.kind = 'manual'));
    update handoffs set status = 'returned', returned_at = v_now, returned_by = p_by where id = h.id;
    -- what the turn that gave up left unanswered, and what came while a person was waited for; not what an answer has
    -- come to since
    update messages m set status = 'received', reason = null
      where m.conversation_id = v.id and m.direction = 'in' and m.status = 'handed_over'
        and (m.reason = 'human' or is_technical(m.reason))
        and m.seq >= (select min(f.seq) from messages f where f.turn_id = h.turn_id and f.direction = 'in')
        and not exists (select from messages o join turns t on t.id = o.turn_id
          where o.conversation_id = v.id and o.seq > m.seq and o.direction = 'out' and o.kind = 'reply'
          and t.status = 'committed' and t.model is not null);
    get diagnostics v_waiting = row_count;
    update conversations set controlled_by = 'agent', escalation_reason = null, failed_in_row = 0, failing_since = null
      where id = v.id;
    if v_waiting > 0 then
      -- it waits like after an outage: it did not grow too old meanwhile, and has heard that something is wrong
      update conversations set inbound_seq = inbound_seq + 1, deferred_since = coalesce(deferred_since, h.created_at),
        deferred_until = v_now, deferred_reason = 'returned',
        apologised_at = case when h.controls then v_now else apologised_at end where id = v.id;
    end if;
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (v.tenant_id, case p_by when 'recovered' then 'runtime' else p_by end, 'handoff.return',
      v.id::text, jsonb_build_object('by', p_by, 'because', handoff_code(h.reason), 'reason', p_reason, 'unanswered',
        v_waiting), v_now);
    v_all := v_all || jsonb_build_object('conversation_id', v.id, 'tenant', v.tenant_id, 'handoff_id', h.id);
  end loop;
  if p_by <> 'recovered' then
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (coalesce(p_tenant, 'default'), p_by, 'handoff.return', 'technical',
        jsonb_build_object('reason', p_reason, 'conversations', jsonb_array_length(v_all)), v_now);
  end if;
  return v_all;
end $function$;
revoke all on function public.return_technical(text,text,text,integer,timestamp with time zone) from public;
grant execute on function public.return_technical(text,text,text,integer,timestamp with time zone) to service_role;
grant execute on function public.return_technical(text,text,text,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.revoke_opt_out(p_contact bigint, p_actor text, p_reason text, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_n int;
begin
  update opt_outs o set revoked_at = p_now
    where o.revoked_at is null and (o.contact_id = p_contact
    or (o.contact_id is null and o.tenant_id = (select tenant_id from contacts where id = p_contact)
    and o.address_hash in (select address_hash(a.kind, a.instance_id, a.address) from contact_addresses a
      where a.contact_id = p_contact)));
  get diagnostics v_n = row_count;
  if v_n = 0 then return false; end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    select tenant_id, p_actor, 'optout.revoke', 'contact:' || id, jsonb_build_object('reason', p_reason), p_now
      from contacts where id = p_contact;
  return true;
end $function$;
revoke all on function public.revoke_opt_out(bigint,text,text,timestamp with time zone) from public;
grant execute on function public.revoke_opt_out(bigint,text,text,timestamp with time zone) to service_role;
grant execute on function public.revoke_opt_out(bigint,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.revoke_token(p_tenant text, p_id text, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v tokens;
begin
  select * into v from tokens where id = p_id and tenant_id = p_tenant for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v.revoked_at is not null then return jsonb_build_object('outcome', 'already'); end if;
  update tokens set revoked_at = clock(p_now), revoked_by = p_actor where id = v.id;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'token.revoke', v.id, jsonb_build_object('sub', v.sub, 'role', v.role, 'reason',
      p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'revoked', 'sub', v.sub, 'role', v.role);
end $function$;
revoke all on function public.revoke_token(text,text,text,text,timestamp with time zone) from public;
grant execute on function public.revoke_token(text,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.revoke_token(text,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.rollback_agent(p_tenant text, p_slug text, p_actor text, p_reason text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now agents; v_back agents;
begin
  perform from agents where tenant_id = p_tenant and slug = p_slug for no key update;
  select * into v_now from agents where tenant_id = p_tenant and slug = p_slug and active;
  if v_now.id is null then return jsonb_build_object('outcome', 'unknown'); end if;
  select * into v_back from agents where id = v_now.replaced;
  if v_back.id is null then
    return jsonb_build_object('outcome', 'nothing_before', 'version', v_now.version, 'before', v_now.version);
  end if;
  update agents set active = true where id = v_back.id;
  update agents set replaced = v_back.replaced where id = v_back.id; -- so that the next one goes further back
  insert into audit_log (tenant_id, actor, action, subject, details) values (p_tenant, p_actor, 'agent.rolled_back',
    p_slug, jsonb_build_object('version', v_back.version, 'before', v_now.version, 'reason', p_reason));
  return jsonb_build_object('outcome', 'rolled_back', 'version', v_back.version, 'before', v_now.version);
end $function$;
revoke all on function public.rollback_agent(text,text,text,text) from public;
grant execute on function public.rollback_agent(text,text,text,text) to service_role;
grant execute on function public.rollback_agent(text,text,text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.room_at(p_conversation public.conversations, p_cap integer, p_now timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_cap int := coalesce((select reply_cap_hour from instances where id = p_conversation.instance_id), p_cap);
  v_most int := greatest(1, ceil(v_cap / 4.0));
  v_waiting bigint;
  v_at timestamptz;
  v_least interval := least(interval '5 minutes', greatest(interval '10 seconds',
    (p_now - p_conversation.deferred_since) / 4));
begin
  if p_conversation.deferred_reason in ('replies_wait', 'answer_withdrawn') and p_conversation.deferred_until > p_now
    then return p_conversation.deferred_until; end if;
  if p_conversation.deferred_reason = 'answer_withdrawn' or exists (select from outbox o
    where o.conversation_id = p_conversation.id and not is_proactive(o.kind) and o.reason = 'reply_cap_hour') then
    v_at := free_at(p_conversation.instance_id, 'reply', interval '1 hour', v_cap, null, p_now);
    return case when v_at > p_now then least(v_at, p_now + interval '5 minutes') end;
  end if;
  if exists (select from slots s where s.conversation_id = p_conversation.id and s.reply
    and s.slot_at > p_now - interval '1 day') then v_most := 2 * v_most; end if;
  select count(*), min(w.due_at) into v_waiting, v_at from (
    select o.due_at from outbox o where o.instance_id = p_conversation.instance_id and not is_proactive(o.kind)
      and waits_long(o.reason)
    union all select c.deferred_until from conversations c where c.instance_id = p_conversation.instance_id
      and c.deferred_reason = 'answer_withdrawn' limit v_most) w;
  if v_waiting = 0 then return null; end if;
  if v_waiting < v_most then
    v_waiting := v_waiting + (select count(*) from turns t join conversations c on c.id = t.conversation_id
      where t.status = 'open' and c.instance_id = p_conversation.instance_id);
    if v_waiting < v_most then return null; end if;
    v_at := p_now;
  end if;
  -- spread, so that they do not all come back at one moment; not later, since a cap may be raised meanwhile
  return least(p_now + interval '5 minutes', greatest(v_at, p_now + v_least) + random() * v_least / 2);
end $function$;
revoke all on function public.room_at(public.conversations,integer,timestamp with time zone) from public;
grant execute on function public.room_at(public.conversations,integer,timestamp with time zone) to service_role;
grant execute on function public.room_at(public.conversations,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.rotate_subscription(p_tenant text, p_id bigint, p_sealed text, p_previous text, p_until timestamp with time zone, p_actor text)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v subscriptions;
begin
  update subscriptions set previous_until = p_until where tenant_id = p_tenant and id = p_id returning * into v;
  if not found then return false; end if;
  insert into tenant_secrets (tenant_id, name, sealed, updated_by)
    values (p_tenant, v.secret, p_sealed, p_actor), (p_tenant, v.secret || '_OLD', p_previous, p_actor)
    on conflict (tenant_id, name) do update set sealed = excluded.sealed, updated_by = excluded.updated_by,
      updated_at = now();
  insert into audit_log (tenant_id, actor, action, subject) values (p_tenant, p_actor, 'subscription.rotate',
    p_id::text);
  return true;
end $function$;
revoke all on function public.rotate_subscription(text,bigint,text,text,timestamp with time zone,text) from public;
grant execute on function public.rotate_subscription(text,bigint,text,text,timestamp with time zone,text) to service_role;
grant execute on function public.rotate_subscription(text,bigint,text,text,timestamp with time zone,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.said_at(p_message public.messages)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE
AS $function$ select least(p_message.claimed_at, p_message.provider_at) $function$;
revoke all on function public.said_at(public.messages) from public;
grant execute on function public.said_at(public.messages) to service_role;
grant execute on function public.said_at(public.messages) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.said_of(p_text text, p_input jsonb)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v record;
begin
  for v in select key, value from jsonb_each_text(p_input) loop
    p_text := replace(p_text, '{' || v.key || '}', v.value);
  end loop;
  return p_text;
end $function$;
revoke all on function public.said_of(text,jsonb) from public;
grant execute on function public.said_of(text,jsonb) to service_role;
grant execute on function public.said_of(text,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.said_on_both(p_a bigint[], p_b bigint[])
 RETURNS bigint[]
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select case when p_a = '{}' or p_b = '{}' then '{}'
    else p_a || array(select unnest(p_b) except select unnest(p_a)) end
$function$;
revoke all on function public.said_on_both(bigint[],bigint[]) from public;
grant execute on function public.said_on_both(bigint[],bigint[]) to service_role;
grant execute on function public.said_on_both(bigint[],bigint[]) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.same_words(p_text text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$ select btrim(regexp_replace(p_text, '\s+', ' ', 'g')) $function$;
revoke all on function public.same_words(text) from public;
grant execute on function public.same_words(text) to service_role;
grant execute on function public.same_words(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.save_agent(p_tenant text, p_slug text, p_words jsonb, p_actor text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_row agents;
begin
  insert into agents (tenant_id, slug, active, name, company, tone, instructions, promises, language, sentences, model,
    model_complex, tools, hours, note, created_by)
    select p_tenant, p_slug, false, w.name, w.company, w.tone, w.instructions, w.promises, w.language,
      coalesce(w.sentences, '{}'), w.model, w.model_complex, w.tools,
      (select hours from agents where tenant_id = p_tenant and slug = p_slug and active), w.note, p_actor
    from jsonb_to_record(p_words) w (name text, company text, tone text, instructions text, promises text,
      language text, sentences jsonb, model text, model_complex text, tools text[], note text)
    returning * into v_row;
  insert into audit_log (tenant_id, actor, action, subject, details)
    values (p_tenant, p_actor, 'agent.saved', p_slug, jsonb_build_object('version', v_row.version, 'note', v_row.note));
  return jsonb_build_object('version', v_row.version);
end $function$;
revoke all on function public.save_agent(text,text,jsonb,text) from public;
grant execute on function public.save_agent(text,text,jsonb,text) to service_role;
grant execute on function public.save_agent(text,text,jsonb,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.save_document(p_tenant text, p_folder text, p_document jsonb, p_added jsonb, p_gone jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v documents; v_proposed int := 0; v_withdrawn int := 0;
begin
  perform pg_advisory_xact_lock(hashtextextended('directives/' || p_tenant, 7));
  select * into v from documents where tenant_id = p_tenant and folder = p_folder
    and external_id = p_document ->> 'external_id' for update;
  insert into documents (tenant_id, folder, external_id, name, modified_at, hash, synced_at)
    values (p_tenant, p_folder, p_document ->> 'external_id', p_document ->> 'name',
      (p_document ->> 'modified_at')::timestamptz, p_document ->> 'hash', v_now)
    on conflict (tenant_id, folder, external_id) do update set name = excluded.name, hash = excluded.hash,
      modified_at = excluded.modified_at, synced_at = excluded.synced_at, status = 'current';
  if v.hash = p_document ->> 'hash' and v.status = 'current' then
    return jsonb_build_object('proposed', 0, 'withdrawn', 0);
  end if;
  insert into directives (tenant_id, scope, target, text, status, document_id, sentence, replaces, ends_at, created_by,
      created_at)
    select p_tenant, 'global', '', a ->> 'text', 'proposed', o.id, a ->> 'sentence', (a ->> 'replaces')::bigint,
      (a ->> 'ends_at')::timestamptz, 'google', v_now
    from jsonb_array_elements(p_added) a, documents o where o.tenant_id = p_tenant and o.folder = p_folder
      and o.external_id = p_document ->> 'external_id';
  get diagnostics v_proposed = row_count;
  update directives d set status = 'withdrawn', decided_by = 'google', decided_at = v_now
    where d.tenant_id = p_tenant and d.status in ('proposed', 'active') and d.document_id = v.id
      and p_gone @> to_jsonb(d.id)
      and not (d.status = 'active' and exists (select from directives n where n.replaces = d.id
        and n.status = 'proposed'));
  get diagnostics v_withdrawn = row_count;
  if v_proposed + v_withdrawn > 0 then
    perform record_audit(p_tenant, 'google', 'document.read', p_document ->> 'name',
      jsonb_build_object('proposed', v_proposed, 'withdrawn', v_withdrawn));
  end if;
  return jsonb_build_object('proposed', v_proposed, 'withdrawn', v_withdrawn);
end $function$;
revoke all on function public.save_document(text,text,jsonb,jsonb,jsonb,timestamp with time zone) from public;
grant execute on function public.save_document(text,text,jsonb,jsonb,jsonb,timestamp with time zone) to service_role;
grant execute on function public.save_document(text,text,jsonb,jsonb,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.save_embeddings(p_model text, p_rows jsonb)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_count int;
begin
  insert into embeddings (tenant_id, model, sha256, vector)
    select r ->> 'tenant_id', p_model, r ->> 'sha256', decode(r ->> 'vector', 'base64')
      from jsonb_array_elements(p_rows) r
    on conflict do nothing;
  get diagnostics v_count = row_count;
  return v_count;
end $function$;
revoke all on function public.save_embeddings(text,jsonb) from public;
grant execute on function public.save_embeddings(text,jsonb) to service_role;
grant execute on function public.save_embeddings(text,jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.save_knowledge(p_tenant text, p_document jsonb, p_most integer, p_actor text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_old knowledge;
  v_id bigint;
  v_chars int := (select coalesce(sum(length(e.p ->> 'text')), 0)
    from jsonb_array_elements(p_document -> 'passages') e (p));
  v_all int;
  v_revision int;
begin
  select knowledge_revision into v_revision from tenants where id = p_tenant for no key update;
  select * into v_old from knowledge where tenant_id = p_tenant and name = p_document ->> 'name';
  select coalesce(sum(chars), 0) into v_all from knowledge where tenant_id = p_tenant;
  if v_old.sha256 = p_document ->> 'sha256' then
    return jsonb_build_object('outcome', 'unchanged', 'id', v_old.id, 'revision', v_revision, 'chars', v_all);
  end if;
  v_all := v_all - coalesce(v_old.chars, 0) + v_chars;
  if v_all > p_most then
    return jsonb_build_object('outcome', 'full', 'id', v_old.id, 'revision', v_revision, 'chars', v_all);
  end if;
  insert into knowledge as k (tenant_id, name, kind, sha256, bytes, pages, chars, added_by)
    values (p_tenant, p_document ->> 'name', p_document ->> 'kind', p_document ->> 'sha256',
      (p_document ->> 'bytes')::int, (p_document ->> 'pages')::int, v_chars, p_actor)
    on conflict (tenant_id, name) do update set kind = excluded.kind, sha256 = excluded.sha256, bytes = excluded.bytes,
      pages = excluded.pages, chars = excluded.chars, added_by = excluded.added_by, updated_at = now()
    returning k.id into v_id;
  delete from knowledge_chunks where knowledge_id = v_id;
  insert into knowledge_chunks (tenant_id, knowledge_id, position, heading, text, sha256, words, search)
    select p_tenant, v_id, e.n, e.p ->> 'heading', e.p ->> 'text', e.p ->> 'sha256',
        array(select jsonb_array_elements_text(e.p -> 'words')),
        setweight(to_tsvector('portuguese', e.p ->> 'heading_words'), 'A')
          || to_tsvector('portuguese', e.p ->> 'text_words')
      from jsonb_array_elements(p_document -> 'passages') with ordinality e (p, n);
  update tenants set knowledge_revision = knowledge_revision + 1 where id = p_tenant
    returning knowledge_revision into v_revision;
  insert into audit_log (tenant_id, actor, action, subject, details)
    values (p_tenant, p_actor, 'knowledge.add', p_document ->> 'name', jsonb_build_object('sha256',
      p_document ->> 'sha256', 'was', v_old.sha256, 'chars', v_chars));
  return jsonb_build_object('outcome', case when v_old.id is null then 'added' else 'replaced' end, 'id', v_id,
    'revision', v_revision, 'chars', v_all);
end $function$;
revoke all on function public.save_knowledge(text,jsonb,integer,text) from public;
grant execute on function public.save_knowledge(text,jsonb,integer,text) to service_role;
grant execute on function public.save_knowledge(text,jsonb,integer,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.save_tool(p_tenant text, p_definition jsonb, p_most integer, p_actor text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_old http_tools; v_version int; v_name text := p_definition ->> 'name';
begin
  perform from tenants where id = p_tenant for no key update;
  select * into v_old from http_tools where tenant_id = p_tenant and name = v_name and removed_at is null for update;
  if v_old.definition = p_definition then
    return jsonb_build_object('outcome', 'unchanged', 'version', v_old.version);
  end if;
  if v_old.id is null and (select count(*) from http_tools where tenant_id = p_tenant and removed_at is null) >= p_most
  then return jsonb_build_object('outcome', 'full', 'version', 0); end if;
  if v_old.id is null then
    insert into http_tools (tenant_id, name, class, definition, added_by)
      values (p_tenant, v_name, p_definition ->> 'class', p_definition, p_actor) returning version into v_version;
  else
    update http_tools set class = p_definition ->> 'class', definition = p_definition, version = version + 1,
      added_by = p_actor, updated_at = now() where id = v_old.id returning version into v_version;
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details) values (p_tenant, p_actor, 'tool.add', v_name,
    jsonb_build_object('version', v_version, 'class', p_definition ->> 'class', 'origin', p_definition ->> 'origin'));
  return jsonb_build_object('outcome', case when v_old.id is null then 'added' else 'replaced' end,
    'version', v_version);
end $function$;
revoke all on function public.save_tool(text,jsonb,integer,text) from public;
grant execute on function public.save_tool(text,jsonb,integer,text) to service_role;
grant execute on function public.save_tool(text,jsonb,integer,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.schema_version()
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$ select to_jsonb('20261123000100'::text) $function$;
revoke all on function public.schema_version() from public;
grant execute on function public.schema_version() to service_role;
grant execute on function public.schema_version() to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.sealed_secrets(p_tenant text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('name', i.name, 'kind', s.kind, 'sealed', s.sealed,
      'counts', s.kind <> 'webhook_secret_previous' or i.webhook_secret_since is null
        or i.webhook_secret_since > clock(p_now) - interval '1 hour') order by i.id, s.kind), '[]')
  from instances i cross join lateral (values ('evolution_key', i.evolution_key), ('webhook_secret', i.webhook_secret),
    ('webhook_secret_previous', i.webhook_secret_previous)) s (kind, sealed)
  where s.sealed is not null and (p_tenant is null or i.tenant_id = p_tenant)
$function$;
revoke all on function public.sealed_secrets(text,timestamp with time zone) from public;
grant execute on function public.sealed_secrets(text,timestamp with time zone) to service_role;
grant execute on function public.sealed_secrets(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.search_conversations(p_tenant text, p_query text, p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_digits text := regexp_replace(p_query, '\D', '', 'g');
  v_words text := (select string_agg(w || ':*', ' & ') from regexp_split_to_table(fold_words(p_query), '[^a-z0-9]+') w
    where w <> '');
begin
  return conversation_rows(array(
    select c.id from (
      select a.contact_id as id from contact_addresses a where length(v_digits) >= 4 and a.kind = 'pn'
        and reverse(a.address) like reverse(v_digits) || '%' and a.tenant_id = p_tenant limit 200) a
      join conversations c on c.contact_id = a.id where c.merged_into is null
    union select c.id from (
      select k.id from contacts k where v_words is not null and k.name is not null and k.tenant_id = p_tenant
        and to_tsvector('simple', translate(lower(left(k.name, 200)), 'áàâãäéèêëíìîïóòôõöúùûüçñ',
          'aaaaaeeeeiiiiooooouuuucn')) @@ to_tsquery('simple', v_words) limit 200) k
      join conversations c on c.contact_id = k.id where c.merged_into is null
    union select c.id from (select distinct m.conversation_id as id from (select * from messages n
          where n.tenant_id = p_tenant order by n.id desc limit 10000) m
        where length(p_query) >= 3 and m.kind is distinct from 'operator' and
          strpos(lower(m.text), lower(p_query)) > 0) w
      join conversations c on c.id = w.id where c.merged_into is null
    order by 1 desc limit p_limit), clock(p_now));
end $function$;
revoke all on function public.search_conversations(text,text,integer,timestamp with time zone) from public;
grant execute on function public.search_conversations(text,text,integer,timestamp with time zone) to service_role;
grant execute on function public.search_conversations(text,text,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.send_claim(p_conversation bigint, p_policy jsonb, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_claim jsonb := claim_send(p_conversation, p_policy, p_now); v_now timestamptz := clock(p_now);
begin
  return v_claim || jsonb_build_object('now', v_now) || case when v_claim ? 'until'
    then jsonb_build_object('wait_ms', in_ms((v_claim ->> 'until')::timestamptz, v_now)) else '{}' end;
end $function$;
revoke all on function public.send_claim(bigint,jsonb,timestamp with time zone) from public;
grant execute on function public.send_claim(bigint,jsonb,timestamp with time zone) to service_role;
grant execute on function public.send_claim(bigint,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.send_forecast(p_instance public.instances, p_count integer, p_policy jsonb, p_now timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_most constant int := 20000;   -- beyond, it goes on as it did so far
  v_young jsonb := warming_caps(p_instance.phase, p_instance.phase_since, p_now);
  v_hour int := least(coalesce(p_instance.cap_hour, (p_policy ->> 'capHour')::int), (v_young ->> 'hour')::int,
    (p_policy -> 'kindCaps' ->> 'campaign')::int);
  v_day int := least(coalesce(p_instance.cap_day, (p_policy ->> 'capDay')::int), (v_young ->> 'day')::int);
  v_pace interval := make_interval(secs =>
    (coalesce(p_instance.pace_min_seconds, (p_policy ->> 'paceMinSeconds')::numeric)
    + coalesce(p_instance.pace_max_seconds, (p_policy ->> 'paceMaxSeconds')::numeric))::float8 / 2);
  v_hours jsonb := hours_of(p_instance, p_policy);
  v_count int := p_count + (select count(*) from outbox o where o.instance_id = p_instance.id
    and is_proactive(o.kind) and not is_notice(o.kind));
  v_times timestamptz[];
  v_at timestamptz := greatest(p_now, p_instance.next_proactive_at);
  n int;
begin
  if v_hour = 0 or v_day = 0 then return null; end if;
  select coalesce(array_agg(s.slot_at order by s.slot_at), '{}') into v_times from slots s
    where s.instance_id = p_instance.id and not s.reply and not is_notice(s.kind)
      and s.slot_at > p_now - interval '1 day';
  n := cardinality(v_times);
  for i in 1..least(v_count, v_most) loop
    v_at := next_open(v_hours, p_instance.tenant_id, greatest(v_at, v_times[n + 1 - v_hour] + interval '1 hour',
      v_times[n + 1 - v_day] + interval '1 day'));
    n := n + 1;
    v_times[n] := v_at;
    v_at := v_at + v_pace;
  end loop;
  v_at := v_times[n];
  return case when v_count > v_most then v_at + (v_at - p_now) * ((v_count - v_most)::float8 / v_most) else v_at end;
end $function$;
revoke all on function public.send_forecast(public.instances,integer,jsonb,timestamp with time zone) from public;
grant execute on function public.send_forecast(public.instances,integer,jsonb,timestamp with time zone) to service_role;
grant execute on function public.send_forecast(public.instances,integer,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.send_jid(p_message public.messages, p_conversation public.conversations)
 RETURNS text
 LANGUAGE sql
 STABLE
AS $function$
  select case when p_message.addressee is null or (p_message.kind <> 'operator' and leads_to(p_conversation.contact_id,
      p_conversation.instance_id, p_conversation.jid, p_message.addressee)) then p_conversation.jid
    else p_message.addressee || '@s.whatsapp.net' end
$function$;
revoke all on function public.send_jid(public.messages,public.conversations) from public;
grant execute on function public.send_jid(public.messages,public.conversations) to service_role;
grant execute on function public.send_jid(public.messages,public.conversations) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.sent_as(p_instance_id bigint, p_wire_id text)
 RETURNS public.messages
 LANGUAGE sql
 STABLE
AS $function$
  select m from messages m where m.instance_id = p_instance_id and m.wire_id = p_wire_id and m.provider_id is null
$function$;
revoke all on function public.sent_as(bigint,text) from public;
grant execute on function public.sent_as(bigint,text) to service_role;
grant execute on function public.sent_as(bigint,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.session_counts(s public.sessions, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select s.used_at > p_now - interval '12 hours' and s.created_at > p_now - interval '7 days'
$function$;
revoke all on function public.session_counts(public.sessions,timestamp with time zone) from public;
grant execute on function public.session_counts(public.sessions,timestamp with time zone) to service_role;
grant execute on function public.session_counts(public.sessions,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.session_rights()
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('role', current_user, 'superuser', (select rolsuper from pg_roles
    where rolname = current_user),
    'owner', exists (select from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
      and pg_has_role(c.relowner, 'usage')),
    'audit', has_table_privilege('audit_log', 'update, delete, truncate'))
$function$;
revoke all on function public.session_rights() from public;
grant execute on function public.session_rights() to service_role;
grant execute on function public.session_rights() to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.set_contact_wait(p_tenant text, p_phone text, p_offers_only boolean, p_until timestamp with time zone, p_actor text, p_reason text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_contact bigint;
begin
  select contact_id into v_contact from contact_addresses
    where tenant_id = p_tenant and kind = 'pn' and address = p_phone;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  update contacts set cooling_until = case when p_offers_only then p_until else cooling_until end,
    next_allowed_at = case when p_offers_only then next_allowed_at else p_until end where id = v_contact;
  -- what waits for the old time is looked at anew
  update messages set due_at = least(due_at, now()), goes_at = null
    where status = 'queued' and reason in ('cooling_off', 'next_allowed')
    and id in (select o.message_id from conversations c join outbox o on o.conversation_id = c.id
      where c.contact_id = v_contact);
  insert into audit_log (tenant_id, actor, action, subject, details)
    values (p_tenant, p_actor, 'contact.wait', v_contact::text, jsonb_build_object('until', p_until, 'offers_only',
      p_offers_only, 'reason', p_reason));
  return jsonb_build_object('outcome', 'done', 'contact_id', v_contact);
end $function$;
revoke all on function public.set_contact_wait(text,text,boolean,timestamp with time zone,text,text) from public;
grant execute on function public.set_contact_wait(text,text,boolean,timestamp with time zone,text,text) to service_role;
grant execute on function public.set_contact_wait(text,text,boolean,timestamp with time zone,text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.set_follow_ups(p_tenant text, p_steps jsonb, p_only_questions boolean, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v_ended int;
begin
  insert into follow_up_ladders (tenant_id, steps, only_questions, enabled_at, updated_by, updated_at)
    values (p_tenant, coalesce(p_steps, '[]'), coalesce(p_only_questions, true),
      case when p_steps is not null then v_now end, p_actor, v_now)
    on conflict (tenant_id) do update set steps = case when p_steps is null then follow_up_ladders.steps
        else excluded.steps end, only_questions = excluded.only_questions, enabled_at = excluded.enabled_at,
      updated_by = excluded.updated_by, updated_at = excluded.updated_at;
  update follow_ups set status = 'cancelled', reason = 'follow_ups_off', ended_at = v_now
    where tenant_id = p_tenant and status = 'active';
  get diagnostics v_ended = row_count;
  perform record_audit(p_tenant, p_actor, 'follow_up.set', p_tenant, jsonb_build_object('steps', p_steps,
    'only_questions', p_only_questions, 'ended', v_ended));
  return jsonb_build_object('ended', v_ended);
end $function$;
revoke all on function public.set_follow_ups(text,jsonb,boolean,text,timestamp with time zone) from public;
grant execute on function public.set_follow_ups(text,jsonb,boolean,text,timestamp with time zone) to service_role;
grant execute on function public.set_follow_ups(text,jsonb,boolean,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.set_identity(p_tenant text, p_identity text, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_was text;
begin
  select coalesce(settings ->> 'identity', 'answer') into v_was from tenants where id = p_tenant for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  update tenants set settings = settings || jsonb_build_object('identity', p_identity) where id = p_tenant;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'identity.set', p_tenant, jsonb_build_object('identity', p_identity, 'was', v_was,
      'reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'done', 'was', v_was);
end $function$;
revoke all on function public.set_identity(text,text,text,text,timestamp with time zone) from public;
grant execute on function public.set_identity(text,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.set_identity(text,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.set_instance(p_tenant text, p_name text, p_actor text, p_change jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v instances;
begin
  update instances set proactive = coalesce((p_change ->> 'proactive')::boolean, proactive),
    phase = coalesce(p_change ->> 'phase', phase),
    phase_since = case when p_change ->> 'phase' <> phase then clock(p_now) else phase_since end,
    cap_hour = nullif(coalesce((p_change ->> 'cap_hour')::int, cap_hour), -1),
      cap_day = nullif(coalesce((p_change ->> 'cap_day')::int, cap_day), -1),
    reply_cap_hour = nullif(coalesce((p_change ->> 'reply_cap_hour')::int, reply_cap_hour), -1),
    pace_min_seconds = nullif(coalesce((p_change ->> 'pace_min_seconds')::numeric, pace_min_seconds), -1),
    pace_max_seconds = nullif(coalesce((p_change ->> 'pace_max_seconds')::numeric, pace_max_seconds), -1)
    where name = p_name and tenant_id = p_tenant returning * into v;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  -- what waits for the old figures is looked at by the new ones
  perform release_held(p_tenant, p_name, array['cap_hour', 'cap_day', 'warming_hour', 'warming_day', 'kind_cap',
    'strangers', 'pace'], clock(p_now));
  perform note_instance(v, 'changed', null, p_change || jsonb_build_object('actor', p_actor), clock(p_now));
  insert into audit_log (tenant_id, actor, action, subject, details)
    values (p_tenant, p_actor, 'instance.set', p_name, p_change);
  return jsonb_build_object('outcome', 'changed');
end $function$;
revoke all on function public.set_instance(text,text,text,jsonb,timestamp with time zone) from public;
grant execute on function public.set_instance(text,text,text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.set_instance(text,text,text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.set_instance_key(p_tenant text, p_instance text, p_key text, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update instances set evolution_key = p_key where name = p_instance and tenant_id = p_tenant;
  if not found then return jsonb_build_object('found', false); end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'instance.key', p_instance, jsonb_build_object('own', p_key is not null), clock(p_now));
  return jsonb_build_object('found', true);
end $function$;
revoke all on function public.set_instance_key(text,text,text,text,timestamp with time zone) from public;
grant execute on function public.set_instance_key(text,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.set_instance_key(text,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.set_instance_phone(p_name text, p_phone text)
 RETURNS void
 LANGUAGE sql
 SET search_path TO 'public', 'pg_temp'
AS $function$ update instances set phone = coalesce(p_phone, phone), phone_doubted = false where name = p_name $function$;
revoke all on function public.set_instance_phone(text,text) from public;
grant execute on function public.set_instance_phone(text,text) to service_role;
grant execute on function public.set_instance_phone(text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.set_instance_state(p_name text, p_state text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v instances;
begin
  select * into v from instances where name = p_name;
  if not found then return jsonb_build_object('outcome', 'unknown', 'wake', false, 'wake_sends', false); end if;
  return record_connection(v, jsonb_build_object('state', p_state, 'polled', true), p_now);
end $function$;
revoke all on function public.set_instance_state(text,text,timestamp with time zone) from public;
grant execute on function public.set_instance_state(text,text,timestamp with time zone) to service_role;
grant execute on function public.set_instance_state(text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.set_mode(p_tenant text, p_conversation bigint, p_mode text, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v conversations;
begin
  select * into v from conversations where id = p_conversation and tenant_id = p_tenant and merged_into is null
    for no key update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  update conversations set mode = p_mode where id = v.id;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'conversation.mode', v.id::text, jsonb_build_object('mode', p_mode, 'was', v.mode,
      'reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'done', 'was', v.mode, 'drafts', (select count(distinct turn_id) from drafts
    where conversation_id = v.id));
end $function$;
revoke all on function public.set_mode(text,bigint,text,text,text,timestamp with time zone) from public;
grant execute on function public.set_mode(text,bigint,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.set_mode(text,bigint,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.set_notice_opt_out(p_tenant text, p_tell boolean, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_was boolean;
begin
  select coalesce(settings -> 'notices_after_opt_out' = 'true', false) into v_was from tenants where id = p_tenant
    for update;
  update tenants set settings = settings || jsonb_build_object('notices_after_opt_out', p_tell) where id = p_tenant;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'notice.opt_out', case when p_tell then 'ignore' else 'obey' end,
      jsonb_build_object('reason', p_reason), clock(p_now));
  return v_was;
end $function$;
revoke all on function public.set_notice_opt_out(text,boolean,text,text,timestamp with time zone) from public;
grant execute on function public.set_notice_opt_out(text,boolean,text,text,timestamp with time zone) to service_role;
grant execute on function public.set_notice_opt_out(text,boolean,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.set_notice_template(p_tenant text, p_change jsonb, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v_row notice_templates;
begin
  insert into notice_templates as n (tenant_id, type, text, enabled, updated_by, updated_at)
    values (p_tenant, p_change ->> 'type', p_change ->> 'text', coalesce((p_change ->> 'enabled')::boolean, true),
      p_actor, v_now)
    on conflict (tenant_id, type) do update set
      text = case when p_change ? 'text' then excluded.text else n.text end,
      enabled = coalesce((p_change ->> 'enabled')::boolean, n.enabled), updated_by = p_actor, updated_at = v_now
    returning * into v_row;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'notice_template.set', v_row.type, p_change - 'type', v_now);
  return jsonb_build_object('type', v_row.type, 'text', v_row.text, 'enabled', v_row.enabled);
end $function$;
revoke all on function public.set_notice_template(text,jsonb,text,timestamp with time zone) from public;
grant execute on function public.set_notice_template(text,jsonb,text,timestamp with time zone) to service_role;
grant execute on function public.set_notice_template(text,jsonb,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.set_observed(p_tenant text, p_scope text, p_target text, p_on boolean, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_talk bigint := case when p_scope = 'conversation' then p_target::bigint end;
begin
  if not exists (select from conversations where id = v_talk and tenant_id = p_tenant and merged_into is null
      union all select from instances where p_scope = 'instance' and tenant_id = p_tenant and name = p_target
      union all select from agents where p_scope = 'agent' and tenant_id in (p_tenant, 'default') and slug = p_target)
    then return jsonb_build_object('outcome', 'unknown'); end if;
  if v_talk is not null then
    update conversations set mode = case when p_on then 'observe' else 'auto' end
      where id = v_talk and (mode = 'observe') <> p_on;
  elsif p_on then
    insert into observed (tenant_id, scope, target, since, actor, reason)
      values (p_tenant, p_scope, p_target, clock(p_now), p_actor, p_reason) on conflict do nothing;
  else
    delete from observed where tenant_id = p_tenant and scope = p_scope and target = p_target;
  end if;
  if not found then return jsonb_build_object('outcome', 'already'); end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at) values (p_tenant, p_actor,
    case when p_on then 'observe.on' else 'observe.off' end, p_scope || ':' || p_target,
    jsonb_build_object('reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'done');
end $function$;
revoke all on function public.set_observed(text,text,text,boolean,text,text,timestamp with time zone) from public;
grant execute on function public.set_observed(text,text,text,boolean,text,text,timestamp with time zone) to service_role;
grant execute on function public.set_observed(text,text,text,boolean,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.set_opt_out(p_tenant text, p_phone text, p_out boolean, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_contact bigint; v_done boolean; v_now timestamptz := clock(p_now);
begin
  select contact_id into v_contact from contact_addresses
    where kind = 'pn' and tenant_id = p_tenant and address = p_phone;
  if v_contact is not null and not p_out then
    v_done := revoke_opt_out(v_contact, p_actor, p_reason, v_now);
  else
    if v_contact is not null then
      v_done := add_opt_out(v_contact, 'operator', v_now);
    elsif p_out then
      insert into opt_outs (tenant_id, address_hash, source, created_at) select id, address_hash('pn', null, p_phone),
        'operator', v_now from tenants where id = p_tenant on conflict do nothing;
      v_done := found;
    else
      update opt_outs set revoked_at = v_now where tenant_id = p_tenant and contact_id is null and revoked_at is null
        and address_hash = address_hash('pn', null, p_phone);
      v_done := found;
    end if;
    if v_done then
      insert into audit_log (tenant_id, actor, action, subject, details, created_at)
        values (p_tenant, p_actor, case when p_out then 'optout.add' else 'optout.revoke' end,
        case when v_contact is null then 'hash:' || left(address_hash('pn', null, p_phone), 12)
          else 'contact:' || v_contact end, jsonb_build_object('reason', p_reason), v_now);
    end if;
  end if;
  return jsonb_build_object('outcome', case when v_done then 'done' else 'already' end, 'contact_id', v_contact);
end $function$;
revoke all on function public.set_opt_out(text,text,boolean,text,text,timestamp with time zone) from public;
grant execute on function public.set_opt_out(text,text,boolean,text,text,timestamp with time zone) to service_role;
grant execute on function public.set_opt_out(text,text,boolean,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.set_pause(p_tenant text, p_actor text, p_status text, p_scope text, p_target text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_was text; v_known boolean;
begin
  if p_tenant <> 'default' and (p_scope = 'all' or (p_scope = 'tenant' and p_target <> p_tenant))
    then return jsonb_build_object('outcome', 'not_yours'); end if;
  v_known := case p_scope
      when 'all' then p_target = ''
      when 'tenant' then exists (select 1 from tenants t where t.id = p_target)
      when 'instance' then exists (select 1 from instances i where i.name = p_target and i.tenant_id = p_tenant)
      when 'conversation' then exists (select 1 from conversations c
        where c.id::text = p_target and c.tenant_id = p_tenant)
      else p_target <> '' end;
  if not v_known then return jsonb_build_object('outcome', 'unknown_target'); end if;
  v_was := pause_status(p_scope, p_target, p_tenant);
  insert into julia_status (tenant_id, status, motivo, alterado_via, scope, target, created_at)
    values (p_tenant, p_status, p_reason, p_actor, p_scope, p_target, clock(p_now));
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, case p_status when 'pausado' then 'pause' else 'resume' end,
    case p_scope when 'all' then 'all' else p_scope || ':' || p_target end, jsonb_build_object('reason', p_reason),
      clock(p_now));
  return jsonb_build_object('outcome', 'done', 'was', coalesce(v_was, 'ativo'), 'still', pauses(p_tenant));
end $function$;
revoke all on function public.set_pause(text,text,text,text,text,text,timestamp with time zone) from public;
grant execute on function public.set_pause(text,text,text,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.set_pause(text,text,text,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.set_proactive(p_tenant text, p_level text, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_was text;
begin
  select proactive into v_was from tenants where id = p_tenant for update;
  update tenants set proactive = p_level where id = p_tenant;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'proactive', p_level, jsonb_build_object('was', v_was, 'reason', p_reason),
      clock(p_now));
  return jsonb_build_object('was', v_was, 'lanes', release_held(p_tenant, null, array['campaigns_off', 'safe_mode'],
    clock(p_now)));
end $function$;
revoke all on function public.set_proactive(text,text,text,text,timestamp with time zone) from public;
grant execute on function public.set_proactive(text,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.set_proactive(text,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.set_tenant_secret(p_tenant text, p_name text, p_sealed text, p_actor text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_was boolean;
begin
  perform from tenants where id = p_tenant for no key update;
  v_was := exists (select from tenant_secrets where tenant_id = p_tenant and name = p_name);
  if p_sealed is null then
    delete from tenant_secrets where tenant_id = p_tenant and name = p_name;
  else
    insert into tenant_secrets (tenant_id, name, sealed, updated_by) values (p_tenant, p_name, p_sealed, p_actor)
      on conflict (tenant_id, name) do update set sealed = excluded.sealed, updated_by = excluded.updated_by,
        updated_at = now();
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details) values (p_tenant, p_actor, 'tool.secret', p_name,
    jsonb_build_object('kept', p_sealed is not null));
  return jsonb_build_object('was', v_was);
end $function$;
revoke all on function public.set_tenant_secret(text,text,text,text) from public;
grant execute on function public.set_tenant_secret(text,text,text,text) to service_role;
grant execute on function public.set_tenant_secret(text,text,text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.set_webhook_secret(p_tenant text, p_instance text, p_sealed text, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  -- one that Evolution never confirmed is not what Evolution has
  update instances set webhook_secret_previous = case when webhook_secret is not null and webhook_secret_since is null
    then webhook_secret_previous else webhook_secret end,
    webhook_secret = p_sealed, webhook_secret_since = null where name = p_instance and tenant_id = p_tenant;
  if not found then return jsonb_build_object('found', false); end if;
  insert into audit_log (tenant_id, actor, action, subject, created_at)
    values (p_tenant, p_actor, 'instance.secret', p_instance, clock(p_now));
  return jsonb_build_object('found', true);
end $function$;
revoke all on function public.set_webhook_secret(text,text,text,text,timestamp with time zone) from public;
grant execute on function public.set_webhook_secret(text,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.set_webhook_secret(text,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.settle_breakers(p_process text DEFAULT NULL::text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_closed int;
begin
  insert into circuit_transitions (tenant_id, breaker, instance, process, state, reason, created_at)
    select s.tenant_id, s.breaker, s.instance, s.process, 'closed', 'restart', clock(p_now) from (
      select distinct on (c.breaker, c.instance, c.process) c.* from circuit_transitions c
      where c.created_at > clock(p_now) - interval '2 days' and c.process <> 'database'
        and (p_process is null or c.process = p_process)
      order by c.breaker, c.instance, c.process, c.id desc) s
    where s.state <> 'closed'
      and (p_process is not null or not exists (select from process_status p
        where p.id = s.process and is_there(p.seen_at, clock(p_now))));
  get diagnostics v_closed = row_count;
  return jsonb_build_object('closed', v_closed);
end $function$;
revoke all on function public.settle_breakers(text,timestamp with time zone) from public;
grant execute on function public.settle_breakers(text,timestamp with time zone) to service_role;
grant execute on function public.settle_breakers(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.settle_command(p_message bigint, p_claim bigint, p_end jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare m messages; v conversations; v_now timestamptz := clock(p_now);
begin
  select c.* into v from conversations c join messages x on x.conversation_id = c.id
    where x.id = p_message for no key update of c;
  select * into m from messages where id = p_message for update;
  if not found or m.claim <> p_claim or m.status <> 'received'
    then return jsonb_build_object('outcome', 'stale', 'conversation_id', v.id); end if;
  update messages set meaning = meaning - 'asked', reason = 'command'
    where id = (p_end ->> 'proved')::bigint and conversation_id = v.id;
  update messages set status = 'answered', reason = p_end ->> 'reason', lease_until = null,
    meaning = case when p_end ->> 'word' is not null and meaning -> 'command' ->> 'kind' = 'command'
      then meaning || jsonb_build_object('asked', p_end ->> 'word') else meaning end where id = m.id;
  if p_end ->> 'text' is null then return jsonb_build_object('outcome', 'recorded', 'conversation_id', null); end if;
  insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text,
    provider_at, correlation_id, kind, priority, part, due_at, addressee, created_at)
    values (v.tenant_id, v.instance_id, v.id, v.last_seq + 1, 'out', 'system', 'text', 'queued', p_end ->> 'text',
      v_now, m.correlation_id, 'operator', 0, 1, v_now, p_end ->> 'to', v_now);
  update conversations set last_seq = last_seq + 1 where id = v.id;
  return jsonb_build_object('outcome', 'recorded', 'conversation_id', v.id);
end $function$;
revoke all on function public.settle_command(bigint,bigint,jsonb,timestamp with time zone) from public;
grant execute on function public.settle_command(bigint,bigint,jsonb,timestamp with time zone) to service_role;
grant execute on function public.settle_command(bigint,bigint,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.settle_directive(p_tenant text, p_id bigint, p_status text, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v directives;
begin
  perform pg_advisory_xact_lock(hashtextextended('directives/' || p_tenant, 7));
  select * into v from directives where id = p_id and tenant_id = p_tenant for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v.status <> (case p_status when 'ended' then 'active' else 'proposed' end)
    or (p_status <> 'ended' and v.ends_at <= v_now) then
    return jsonb_build_object('outcome', 'over', 'text', v.text, 'status', v.status);
  end if;
  if p_status = 'active' then
    update directives set status = 'ended', decided_by = p_actor, decided_at = v_now
      where id = v.replaces and status = 'active'
        or (tenant_id = p_tenant and scope = v.scope and target = v.target and text = v.text and status = 'active');
    if directives_in_force(p_tenant, v_now) >= 40 then return jsonb_build_object('outcome', 'many'); end if;
  end if;
  update directives set status = p_status, decided_by = p_actor, decided_at = v_now where id = p_id;
  perform record_audit(p_tenant, p_actor, 'directive.' || p_status, p_id::text,
    jsonb_build_object('text', v.text, 'reason', p_reason));
  return jsonb_build_object('outcome', 'done', 'text', v.text, 'status', v.status);
end $function$;
revoke all on function public.settle_directive(text,bigint,text,text,text,timestamp with time zone) from public;
grant execute on function public.settle_directive(text,bigint,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.settle_directive(text,bigint,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.settle_draft(p_tenant text, p_draft bigint, p_yes boolean, p_parts jsonb, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v conversations; v_turn turns; v_now timestamptz := clock(p_now); v_n int;
begin
  select c.* into v from conversations c join turns t on t.conversation_id = c.id
    where t.id = p_draft and t.tenant_id = p_tenant for no key update of c;
  select * into v_turn from turns where id = p_draft;
  if not found or not exists (select from drafts where conversation_id = v.id and turn_id = p_draft) then
    return jsonb_build_object('outcome', 'unknown');
  end if;
  if p_yes and conversation_holder(v, v_now) <> 'agent' then return jsonb_build_object('outcome', 'with_person',
    'holder', conversation_holder(v, v_now)); end if;
  p_parts := nullif(p_parts, 'null'::jsonb);
  if p_yes and p_parts is null then
    update messages set status = 'queued', due_at = v_now, typing_ms = 0
      where conversation_id = v.id and turn_id = p_draft and status = 'draft';
    get diagnostics v_n = row_count;
  else
    update messages set status = 'cancelled', reason = case when p_yes then 'draft_edited' else 'draft_refused' end
      where conversation_id = v.id and turn_id = p_draft and status = 'draft';
    v_n := coalesce(jsonb_array_length(p_parts), 0);
  end if;
  if p_yes then
    insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text,
      provider_at, turn_id, correlation_id, kind, priority, part, due_at, created_at)
      select v.tenant_id, v.instance_id, v.id, v.last_seq + p.n, 'out', 'agent', 'text', 'queued', p.text, v_now,
        p_draft, v_turn.correlation_id, 'reply', 0, p.n, v_now, v_now
      from jsonb_array_elements_text(p_parts) with ordinality as p (text, n);
    update conversations set last_seq = last_seq + coalesce(jsonb_array_length(p_parts), 0) where id = v.id;
    update messages set status = 'answered', reason = null where turn_id = p_draft and direction = 'in'
      and status = 'handed_over' and reason = 'draft';
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, case when p_yes then 'draft.approve' else 'draft.discard' end,
    p_draft::text, jsonb_build_object('reason', p_reason, 'edited', p_parts is not null), v_now);
  return jsonb_build_object('outcome', 'done', 'conversation_id', v.id, 'parts', v_n,
    'paused', (select pause_reason(v.tenant_id, i.name, v.id, null) from instances i where i.id = v.instance_id));
end $function$;
revoke all on function public.settle_draft(text,bigint,boolean,jsonb,text,text,timestamp with time zone) from public;
grant execute on function public.settle_draft(text,bigint,boolean,jsonb,text,text,timestamp with time zone) to service_role;
grant execute on function public.settle_draft(text,bigint,boolean,jsonb,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.settle_echo(p_message public.messages, p_provider_id text, p_wake boolean, p_sent_at timestamp with time zone, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if gone_meanwhile(p_message) then return jsonb_build_object('outcome', 'erased', 'wake', false); end if;
  perform 1 from conversations where id = p_message.conversation_id for no key update;
  perform settle_sent(p_message.id, p_provider_id, p_sent_at, p_now);
  return jsonb_build_object('outcome', 'echo', 'conversation_id', p_message.conversation_id, 'message_id', p_message.id,
    'correlation_id', p_message.correlation_id, 'wake', false) || case when p_wake then '{"wake_send": true}'
      else '{}'::jsonb end;
end $function$;
revoke all on function public.settle_echo(public.messages,text,boolean,timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.settle_echo(public.messages,text,boolean,timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.settle_echo(public.messages,text,boolean,timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.settle_lost(p_turn public.turns, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_lost spend_reservations;
begin
  delete from spend_reservations where turn_id = p_turn.id returning * into v_lost;
  if v_lost.turn_id is null then return; end if;
  insert into model_calls (tenant_id, turn_id, model, outcome, ms, cost_usd, estimated)
    values (p_turn.tenant_id, p_turn.id, v_lost.model, 'worker_lost', 0, v_lost.usd, true);
  update turns set cost_usd = cost_usd + v_lost.usd where id = p_turn.id;
  perform add_spend(p_turn.tenant_id, 'model', v_lost.instance_id, v_lost.usd, 1, 0, 0, p_now);
end $function$;
revoke all on function public.settle_lost(public.turns,timestamp with time zone) from public;
grant execute on function public.settle_lost(public.turns,timestamp with time zone) to service_role;
grant execute on function public.settle_lost(public.turns,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.settle_lost_media(p_media bigint, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_lost spend_reservations;
begin
  delete from spend_reservations where media_id = p_media returning * into v_lost;
  if v_lost.media_id is null then return; end if;
  insert into model_calls (tenant_id, media_id, model, outcome, ms, cost_usd, estimated)
    values (v_lost.tenant_id, p_media, v_lost.model, 'worker_lost', 0, v_lost.usd, true);
  perform add_spend(v_lost.tenant_id, 'files', null, v_lost.usd, 1, 0, 0, p_now);
end $function$;
revoke all on function public.settle_lost_media(bigint,timestamp with time zone) from public;
grant execute on function public.settle_lost_media(bigint,timestamp with time zone) to service_role;
grant execute on function public.settle_lost_media(bigint,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.settle_lost_summary(p_summary public.summaries, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_lost spend_reservations;
begin
  delete from spend_reservations where summary_id = p_summary.id returning * into v_lost;
  if v_lost.summary_id is null then return; end if;
  perform pay_summary(p_summary.conversation_id, jsonb_build_array(jsonb_build_object('model', v_lost.model,
    'outcome', 'worker_lost', 'ms', 0, 'cost_usd', v_lost.usd, 'estimated', true)), p_now);
end $function$;
revoke all on function public.settle_lost_summary(public.summaries,timestamp with time zone) from public;
grant execute on function public.settle_lost_summary(public.summaries,timestamp with time zone) to service_role;
grant execute on function public.settle_lost_summary(public.summaries,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.settle_restored(p_instance public.instances, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update messages m set status = 'answered', reason = 'answered_before_restore' from inbox n
    where m.id = n.message_id and m.instance_id = p_instance.id and m.direction = 'in' and m.status = 'received'
      and m.provider_at < p_instance.restored_at
      and exists (select 1 from messages o where o.conversation_id = m.conversation_id and o.direction = 'out'
        and o.provider_id is not null and o.type <> 'reaction' and o.author <> 'automatic'
        and (o.kind is null or not is_proactive(o.kind) or o.kind = 'manual') and o.provider_at >= date_trunc('second',
          m.provider_at));
  update conversations c set takeover_since = null, takeover_until = null
    where c.instance_id = p_instance.id and c.takeover_since >= p_instance.restored_at
      and not exists (select 1 from messages h where h.conversation_id = c.id and h.author = 'human'
        and h.provider_at >= p_instance.restored_at);
  insert into julia_status (tenant_id, status, motivo, alterado_via, scope, target, created_at)
    select p_instance.tenant_id, 'ativo', 'comparado com o WhatsApp', 'restore', 'instance', p_instance.name,
      clock(p_now)
    from (select * from julia_status where scope = 'instance' and target = p_instance.name order by id desc
      limit 1) newest
    where newest.status = 'pausado' and newest.alterado_via = 'restore';
  update instances set restored_at = null where id = p_instance.id;
end $function$;
revoke all on function public.settle_restored(public.instances,timestamp with time zone) from public;
grant execute on function public.settle_restored(public.instances,timestamp with time zone) to service_role;
grant execute on function public.settle_restored(public.instances,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.settle_send(p_message bigint, p_claim bigint, p_provider_id text, p_not_sent boolean, p_next_ms integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v_message messages;
begin
  perform 1 from conversations where id = (select conversation_id from messages where id = p_message) for no key update;
  select * into v_message from messages where id = p_message for update;
  if v_message.status = 'uncertain' and v_message.claim = p_claim then
    if p_provider_id is not null then
      perform settle_sent(v_message.id, p_provider_id, v_now, v_now);
    elsif p_not_sent then
      update messages set status = 'queued', reason = 'proven_not_sent', lease_until = null, slot_at = null, looks = 0,
        due_at = v_now, goes_at = v_now where id = v_message.id;
    else
      update messages set looks = looks + 1, slot_at = v_now,
        due_at = v_now + make_interval(secs => coalesce(p_next_ms, 0) / 1000.0) where id = v_message.id;
      if p_next_ms is null then perform give_up_send(v_message.id, v_message.reason, v_now); end if;
    end if;
    select * into v_message from messages where id = p_message;
  end if;
  return jsonb_build_object('status', v_message.status, 'reason', v_message.reason);
end $function$;
revoke all on function public.settle_send(bigint,bigint,text,boolean,integer,timestamp with time zone) from public;
grant execute on function public.settle_send(bigint,bigint,text,boolean,integer,timestamp with time zone) to service_role;
grant execute on function public.settle_send(bigint,bigint,text,boolean,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.settle_sent(p_message bigint, p_provider_id text, p_at timestamp with time zone, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_message messages; v_copy messages;
begin
  select * into v_message from messages where id = p_message for update;
  perform lock_provider_id(v_message.instance_id, p_provider_id);
  if v_message.provider_id is null and p_provider_id is not null then
    select * into v_copy from messages where instance_id = v_message.instance_id and provider_id = p_provider_id
      and (direction = 'out' or conversation_id = v_message.conversation_id)
      order by author in ('human', 'automatic') limit 1;
    if found and v_copy.author in ('human', 'automatic') then
      delete from messages where id = v_copy.id;
      perform undo_takeover(v_copy.conversation_id, v_copy.created_at, p_now);
    elsif found then
      return; -- this id belongs to another of our rows: a wrong match, leave both
    end if;
  end if;
  -- one update: a second one of a row in a transaction checks its foreign keys again, and so would wait for whoever has
  -- the number's lock
  if v_message.status in ('sending', 'uncertain', 'unproven')
    or (v_message.status in ('queued', 'failed') and v_message.claim > 0
    and v_message.reason is distinct from 'provider_refused') then
    update messages set provider_id = coalesce(provider_id, p_provider_id), status = 'sent', reason = null,
      error_class = null, lease_until = null, goes_at = null,
      provider_at = p_at, slot_at = greatest(slot_at, p_at, p_now) where id = v_message.id;
    update conversations set superseded_in_row = 0 where id = v_message.conversation_id and superseded_in_row > 0
      and not is_proactive(v_message.kind);
    if v_message.status = 'unproven' then perform close_handoff(v_message, 'send_unproven', p_now); end if;
    if v_message.status = 'failed' then perform heal_send(v_message, p_now); end if;
  elsif v_message.provider_id is null and p_provider_id is not null then
    update messages set provider_id = p_provider_id where id = v_message.id;
  end if;
  perform apply_early(v_message.instance_id, p_provider_id, p_at);
end $function$;
revoke all on function public.settle_sent(bigint,text,timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.settle_sent(bigint,text,timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.settle_sent(bigint,text,timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.settle_turn(p_turn public.turns, p_result jsonb, p_draft boolean, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_kind text := p_result ->> 'kind';
begin
  update messages set status = case when p_draft or v_kind = 'handoff' then 'handed_over'
      when v_kind = 'answer' then 'answered' else 'skipped' end,
    reason = case when p_draft then 'draft' when v_kind <> 'answer' then p_result ->> 'reason' end
    where turn_id = p_turn.id and direction = 'in' and status = 'received';
  update turns set status = case v_kind when 'answer' then 'committed' when 'handoff' then 'handed_over'
    else 'skipped' end, reason = p_result ->> 'reason', ended_at = p_now where id = p_turn.id;
  update conversations set failed_in_row = 0, failing_since = null, deferred_since = null, deferred_until = null,
    deferred_reason = null,
    -- an answer that may still be withdrawn has not reached the contact yet: settle_sent ends that row
    superseded_in_row = case when jsonb_array_length(coalesce(p_result -> 'parts', '[]')) > 0
      then superseded_in_row else 0 end,
    -- an outage is over when the model has answered, or a person has the conversation
    apologised_at = case when v_kind = 'handoff' or p_result ->> 'model' is not null then null else apologised_at end,
    quiet_reason = coalesce(p_result -> 'quiet' ->> 'reason', quiet_reason),
    quiet_until = coalesce(p_now + make_interval(secs => (p_result -> 'quiet' ->> 'seconds')::int), quiet_until),
    previous_answer = case when p_result ->> 'answer_id' is null then previous_answer
      else jsonb_build_object('id', p_result ->> 'answer_id', 'at', p_now) end
    where id = p_turn.conversation_id;
end $function$;
revoke all on function public.settle_turn(public.turns,jsonb,boolean,timestamp with time zone) from public;
grant execute on function public.settle_turn(public.turns,jsonb,boolean,timestamp with time zone) to service_role;
grant execute on function public.settle_turn(public.turns,jsonb,boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.share_free_at(p_conversation public.conversations, p_cap integer, p_now timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_share int := greatest(20, ceil(p_cap / 4.0)::int); v_at timestamptz;
begin
  if p_cap is null or not exists (select from messages m where m.conversation_id = p_conversation.id
    and m.seq = p_conversation.last_seq - v_share
    and greatest(m.created_at, m.slot_at) > p_now - interval '1 hour') then return null; end if;
  select s.slot_at into v_at from (
    select slot_at from slots where conversation_id = p_conversation.id and reply
    union all select slot_at from on_wire where conversation_id = p_conversation.id and not is_proactive(kind)) s
    where s.slot_at > p_now - interval '1 hour' order by s.slot_at desc offset v_share - 1 limit 1;
  return v_at + interval '1 hour';
end $function$;
revoke all on function public.share_free_at(public.conversations,integer,timestamp with time zone) from public;
grant execute on function public.share_free_at(public.conversations,integer,timestamp with time zone) to service_role;
grant execute on function public.share_free_at(public.conversations,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.show_contact(p_tenant text, p_phone text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('id', c.id, 'name', c.name, 'phones', (select coalesce(jsonb_agg(a.address order by a.id),
      '[]') from contact_addresses a where a.contact_id = c.id and a.kind = 'pn'),
    'tags', (select coalesce(jsonb_agg(t.tag order by t.tag), '[]') from contact_tags t where t.contact_id = c.id),
    'opted_out_at', (select o.created_at from standing_opt_out(c.id) o),
    'wrote_at', (select max(v.last_inbound_at) from conversations v where v.contact_id = c.id),
    'conversations', (select coalesce(jsonb_agg(v.id order by v.id), '[]') from conversations v
      where v.contact_id = c.id and v.merged_into is null),
    'cooling_until', c.cooling_until, 'next_allowed_at', c.next_allowed_at, 'last_campaign_at', last_campaign(c.id))
  from contacts c where c.id = find_contact(p_tenant, null, p_phone)
$function$;
revoke all on function public.show_contact(text,text) from public;
grant execute on function public.show_contact(text,text) to service_role;
grant execute on function public.show_contact(text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.show_typing(p_conversation public.conversations, p_message public.messages, p_instance_name text, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_until timestamptz := p_now + make_interval(secs => p_message.typing_ms / 1000.0);
begin
  update messages set typing_until = v_until, due_at = v_until, reason = 'typing' where id = p_message.id;
  -- Evolution skips read marks of @lid chats without a word: the phone number is named where it is known
  return jsonb_build_object('action', 'typing', 'message_id', p_message.id, 'ms', p_message.typing_ms,
    'until', v_until, 'instance', p_instance_name,
    'number', dial(p_conversation.contact_id, send_jid(p_message, p_conversation)),
    'read_jid', coalesce((select coalesce(a.written, a.address) || '@s.whatsapp.net' from contact_addresses a
      where a.contact_id = p_conversation.contact_id and a.kind = 'pn'
      and (p_conversation.jid like '%@lid' or a.id = address_row(p_conversation.contact_id, p_conversation.jid))
      limit 1), p_conversation.jid),
    'read_ids', (select coalesce(jsonb_agg(i.provider_id), '[]') from messages i
      where i.turn_id = p_message.turn_id and i.direction = 'in' and p_message.part <= 1));
end $function$;
revoke all on function public.show_typing(public.conversations,public.messages,text,timestamp with time zone) from public;
grant execute on function public.show_typing(public.conversations,public.messages,text,timestamp with time zone) to service_role;
grant execute on function public.show_typing(public.conversations,public.messages,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.signs_of_life(p_instance text, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('kind', s.kind, 'age_ms',
    greatest(0, floor(extract(epoch from p_now - s.at) * 1000))::int) order by s.kind), '[]') from (
    select 'reconnect' as kind, alive_at as at from instances where name = p_instance
    union all
    select 'word', greatest((select answered_at from instances where name = p_instance),
      (select max(received_at) from webhook_events where received_at > p_now - interval '30 seconds'
        and instance = p_instance and aside_id is null))) s
  where s.at > p_now - interval '30 seconds'
$function$;
revoke all on function public.signs_of_life(text,timestamp with time zone) from public;
grant execute on function public.signs_of_life(text,timestamp with time zone) to service_role;
grant execute on function public.signs_of_life(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.silenced_by(v public.conversations, p_now timestamp with time zone, p_campaign text DEFAULT NULL::text, p_opted_out_since timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  return coalesce(
    'paused_' || pause_reason(v.tenant_id, (select name from instances where id = v.instance_id), v.id, p_campaign),
    nullif(conversation_holder(v, p_now), 'agent'),
    (select 'opted_out' from standing_opt_out(v.contact_id) o where o.created_at >= p_opted_out_since));
end $function$;
revoke all on function public.silenced_by(public.conversations,timestamp with time zone,text,timestamp with time zone) from public;
grant execute on function public.silenced_by(public.conversations,timestamp with time zone,text,timestamp with time zone) to service_role;
grant execute on function public.silenced_by(public.conversations,timestamp with time zone,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.sla_figures(p_from timestamp with time zone, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object(
      'minutes', coalesce((select greatest(0,
        floor(extract(epoch from date_trunc('minute', clock(p_now)) - greatest(date_trunc('minute', p_from),
        f.minute)) / 60))
        from (select minute from sla_minutes order by minute limit 1) f), 0),
      'up_minutes', (select count(*) from sla_minutes where up and minute >= date_trunc('minute', p_from)
        and minute < date_trunc('minute', clock(p_now))))
    || (select jsonb_build_object('turns', count(*) filter (where status = 'committed' and model is not null),
        'slow_turns', count(*) filter (where status = 'committed' and model is not null
          and ended_at - started_at > interval '5 seconds'),
        'failed_turns', count(*) filter (where status in ('failed', 'expired'))) from turns where started_at >= p_from)
    || (select jsonb_build_object('sends', count(*) filter (where status in ('sent', 'delivered', 'read')),
      'failed_sends', count(*) filter (where status = 'failed'))
        from messages where direction = 'out' and kind is not null and created_at >= p_from)
$function$;
revoke all on function public.sla_figures(timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.sla_figures(timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.sla_figures(timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.slot_hour(p_at timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE
AS $function$ select date_bin(interval '1 hour', p_at, timestamptz '2000-01-01 00:00:00+00') $function$;
revoke all on function public.slot_hour(timestamp with time zone) from public;
grant execute on function public.slot_hour(timestamp with time zone) to service_role;
grant execute on function public.slot_hour(timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.slot_minute(p_at timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE
AS $function$ select date_bin(interval '1 minute', p_at, timestamptz '2000-01-01 00:00:00+00') $function$;
revoke all on function public.slot_minute(timestamp with time zone) from public;
grant execute on function public.slot_minute(timestamp with time zone) to service_role;
grant execute on function public.slot_minute(timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.slow_start(p_instance public.instances, p_cap_hour integer, p_now timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_at timestamptz;
begin
  if p_instance.reconnected_at is null or p_instance.reconnected_at <= p_now - interval '30 minutes'
    then return null; end if;
  v_at := free_at(p_instance.id, 'proactive', interval '30 minutes', greatest(1, ceil(p_cap_hour / 4.0))::int,
    p_instance.reconnected_at,
    p_now);
  return case when v_at is not null then least(v_at, p_instance.reconnected_at + interval '30 minutes') end;
end $function$;
revoke all on function public.slow_start(public.instances,integer,timestamp with time zone) from public;
grant execute on function public.slow_start(public.instances,integer,timestamp with time zone) to service_role;
grant execute on function public.slow_start(public.instances,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.snapshot_numbers(p_tz text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_day date := (clock(p_now) at time zone p_tz)::date; v_from timestamptz := v_day::timestamp at time zone p_tz;
v_n int;
begin
  insert into number_days (tenant_id, instance_id, day, figures)
    select i.tenant_id, i.id, v_day, jsonb_build_object('status', i.status, 'phase', i.phase, 'trust',
      trust_now(i, clock(p_now)), 'held_reason', i.held_reason,
        'sent', s.sent, 'delivered', s.delivered, 'failed', (select count(*) from dead_sends m
          where m.instance_id = i.id and m.created_at >= v_from and m.status = 'failed'))
    from instances i, lateral (select count(*) filter (where d.status in ('sent', 'delivered', 'read')) as sent,
      count(d.delivered_at) as delivered from (
      select m.status, m.delivered_at from slots l join messages m on m.id = l.message_id
        where l.instance_id = i.id and l.reply in (true, false) and l.slot_at >= v_from) d) s
    on conflict (instance_id, day) do update set figures = excluded.figures;
  get diagnostics v_n = row_count;
  return jsonb_build_object('numbers', v_n);
end $function$;
revoke all on function public.snapshot_numbers(text,timestamp with time zone) from public;
grant execute on function public.snapshot_numbers(text,timestamp with time zone) to service_role;
grant execute on function public.snapshot_numbers(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.sources_of(p_transcript jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('title', s.title, 'cited', left(s.cited, 400)) order by s.n), '[]')
    from (select coalesce(c.e ->> 'title', c.e ->> 'document_title') as title, c.e ->> 'cited_text' as cited,
        min(c.n) as n
      from jsonb_path_query(p_transcript, '$[*].content[*].citations[*]') with ordinality c (e, n)
      where coalesce(c.e ->> 'title', c.e ->> 'document_title') is not null group by 1, 2) s
$function$;
revoke all on function public.sources_of(jsonb) from public;
grant execute on function public.sources_of(jsonb) to service_role;
grant execute on function public.sources_of(jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.speaks_alone(p_from jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$ select coalesce(p_from ? 'instance', false) $function$;
revoke all on function public.speaks_alone(jsonb) from public;
grant execute on function public.speaks_alone(jsonb) to service_role;
grant execute on function public.speaks_alone(jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.speaks_for(p_from jsonb, i public.instances, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select case when p_from ? 'ourselves' then true when p_from ? 'instance' then i.name = p_from ->> 'instance'
    else i.tenant_id = coalesce(p_from ->> 'tenant', 'default')
      and (i.webhook_secret is null
      or (i.webhook_secret_previous is null
      and (i.webhook_secret_since is null or i.webhook_secret_since > p_now - interval '1 hour'))) end
$function$;
revoke all on function public.speaks_for(jsonb,public.instances,timestamp with time zone) from public;
grant execute on function public.speaks_for(jsonb,public.instances,timestamp with time zone) to service_role;
grant execute on function public.speaks_for(jsonb,public.instances,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.spend_day(p_at timestamp with time zone)
 RETURNS date
 LANGUAGE sql
 IMMUTABLE
AS $function$ select (p_at at time zone 'UTC')::date $function$;
revoke all on function public.spend_day(timestamp with time zone) from public;
grant execute on function public.spend_day(timestamp with time zone) to service_role;
grant execute on function public.spend_day(timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.spend_kept(p_id uuid, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_first boolean;
begin
  insert into kept_spent (id, created_at) values (p_id, p_now) on conflict do nothing;
  v_first := found;
  delete from kept_spent where id in (select id from kept_spent where created_at < p_now - interval '4 days'
    order by created_at limit 100 for update skip locked);
  return v_first;
end $function$;
revoke all on function public.spend_kept(uuid,timestamp with time zone) from public;
grant execute on function public.spend_kept(uuid,timestamp with time zone) to service_role;
grant execute on function public.spend_kept(uuid,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.spend_report(p_tenant text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  with days as (select s.*, s.day = spend_day(clock(p_now)) as today,
      s.day >= date_trunc('month', spend_day(clock(p_now))::timestamp)::date as this_month from spend_days s
      where s.tenant_id = p_tenant and s.day >= spend_day(clock(p_now)) - 31)
  select jsonb_build_object('now', clock(p_now),
    'day', (select coalesce(sum(usd) filter (where today), 0) from days),
    'month', (select coalesce(sum(usd) filter (where this_month), 0) from days),
    'unpriced', (select coalesce(sum(unpriced) filter (where this_month), 0) from days),
    'reserved', (select coalesce(sum(usd), 0) from spend_reservations where tenant_id = p_tenant),
    'days', (select coalesce(jsonb_agg(jsonb_build_object('day', d.day, 'usd', d.usd) order by d.day), '[]')
      from (select day, sum(usd) as usd from days where not today group by day) d),
    'kinds', (select coalesce(jsonb_agg(to_jsonb(k) order by k.kind), '[]') from (select kind,
        coalesce(sum(usd) filter (where today), 0) as day, coalesce(sum(usd) filter (where this_month), 0) as month,
        coalesce(sum(calls) filter (where this_month), 0) as calls,
        coalesce(sum(units) filter (where this_month), 0) as units from days group by kind) k),
    'numbers', (select coalesce(jsonb_agg(to_jsonb(n) order by n.month desc, n.number), '[]') from (
      select i.name as number,
        coalesce(sum(d.usd) filter (where d.today), 0) as day,
        coalesce(sum(d.usd) filter (where d.this_month), 0) as month
      from days d left join instances i on i.id = d.instance_id group by i.name) n))
$function$;
revoke all on function public.spend_report(text,timestamp with time zone) from public;
grant execute on function public.spend_report(text,timestamp with time zone) to service_role;
grant execute on function public.spend_report(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.spend_room(p_tenant text, p_contact bigint, p_spend jsonb, p_taken jsonb, p_now timestamp with time zone)
 RETURNS TABLE(room numeric, ceiling text)
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  with reserved as (select coalesce(sum(usd), 0) as all_usd, coalesce(sum(usd) filter (where contact_id = p_contact), 0)
      as contact_usd from spend_reservations where tenant_id = p_tenant),
    spent as (select coalesce(sum(usd), 0) as month_usd, coalesce(sum(usd) filter (where day = spend_day(p_now)), 0)
      as day_usd from spend_days where tenant_id = p_tenant
        and day >= date_trunc('month', spend_day(p_now)::timestamp)::date),
    rooms as (
      select (p_spend ->> 'contactDay')::numeric - r.contact_usd
          - coalesce((p_taken ->> ('contact ' || p_contact))::numeric, 0) - (select coalesce(sum(t.cost_usd), 0)
          from conversations c join turns t on t.conversation_id = c.id where c.contact_id = p_contact
            and t.started_at >= spend_day(p_now)::timestamp at time zone 'UTC') as room, 'contact_day' as ceiling,
          1 as n
        from reserved r where p_contact is not null and p_spend ->> 'contactDay' is not null
      union all select (p_spend ->> 'day')::numeric - r.all_usd - s.day_usd
        - coalesce((p_taken ->> p_tenant)::numeric, 0), 'day', 2 from reserved r, spent s
        where p_spend ->> 'day' is not null
      union all select (p_spend ->> 'month')::numeric - r.all_usd - s.month_usd
        - coalesce((p_taken ->> p_tenant)::numeric, 0), 'month', 3 from reserved r, spent s
        where p_spend ->> 'month' is not null)
  select room, ceiling from rooms order by room, n limit 1
$function$;
revoke all on function public.spend_room(text,bigint,jsonb,jsonb,timestamp with time zone) from public;
grant execute on function public.spend_room(text,bigint,jsonb,jsonb,timestamp with time zone) to service_role;
grant execute on function public.spend_room(text,bigint,jsonb,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.spend_sums(p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(to_jsonb(s) order by s.tenant), '[]') from (
    select d.tenant_id as tenant, r.usd + coalesce(sum(d.usd) filter (where d.day = spend_day(clock(p_now))), 0) as day,
      r.usd + sum(d.usd) as month
    from spend_days d cross join lateral (select coalesce(sum(usd), 0) as usd from spend_reservations
      where tenant_id = d.tenant_id) r
    where d.day >= date_trunc('month', spend_day(clock(p_now))::timestamp)::date group by d.tenant_id, r.usd) s
$function$;
revoke all on function public.spend_sums(timestamp with time zone) from public;
grant execute on function public.spend_sums(timestamp with time zone) to service_role;
grant execute on function public.spend_sums(timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.standing_opt_out(p_contact bigint)
 RETURNS SETOF public.opt_outs
 LANGUAGE sql
 STABLE
AS $function$
  select * from opt_outs where contact_id = p_contact and revoked_at is null
$function$;
revoke all on function public.standing_opt_out(bigint) from public;
grant execute on function public.standing_opt_out(bigint) to service_role;
grant execute on function public.standing_opt_out(bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.start_campaign(p_tenant text, p_name text, p_at timestamp with time zone, p_policy jsonb, p_shop text, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v campaigns;
begin
  select * into v from campaigns where tenant_id = p_tenant and name = p_name for no key update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v.status not in ('draft', 'scheduled') then
    return jsonb_build_object('outcome', 'state', 'status', v.status);
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'campaign.start', v.name, jsonb_build_object('at', p_at), v_now);
  if p_at > v_now then
    update campaigns set status = 'scheduled', starts_at = p_at where id = v.id returning * into v;
  else
    v := begin_campaign(v, p_policy, p_shop, v_now);
  end if;
  return jsonb_build_object('outcome', 'done', 'campaign', campaign_row(v));
end $function$;
revoke all on function public.start_campaign(text,text,timestamp with time zone,jsonb,text,text,timestamp with time zone) from public;
grant execute on function public.start_campaign(text,text,timestamp with time zone,jsonb,text,text,timestamp with time zone) to service_role;
grant execute on function public.start_campaign(text,text,timestamp with time zone,jsonb,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.start_follow_ups(p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v_count int;
begin
  -- what was answered or stopped makes room for the next silence; WhatsApp tells whole seconds, so an answer may be of
  -- the second of the words before it
  update follow_ups f set status = 'cancelled', ended_at = v_now,
      reason = case when o.answered then 'follow_up_answered' else o.reason end
    from (select g.id, m.status, m.reason, v.last_inbound_at > g.since or exists (select from messages a
        where a.conversation_id = v.id and a.seq > g.after_seq and a.direction = 'in') as answered
      from follow_ups g join conversations v on v.id = g.conversation_id left join messages m on m.id = g.message_id
      where g.status = 'active') o
    where f.id = o.id and f.status = 'active'
      and (o.answered or o.status in ('cancelled', 'blocked', 'expired', 'failed'));
  insert into follow_ups (tenant_id, conversation_id, since, after_seq, due_at, created_at)
    select v.tenant_id, v.id, v.last_inbound_at, v.last_seq,
      m.created_at + make_interval(mins => (l.steps -> 0 ->> 'after_minutes')::int), v_now
    from follow_up_ladders l join conversations v on v.tenant_id = l.tenant_id
      join messages m on m.conversation_id = v.id and m.seq = v.last_seq
    where l.enabled_at is not null and jsonb_array_length(l.steps) > 0 and v.last_inbound_at >= l.enabled_at
      -- what has gone on within a day: a ladder begins within minutes of the answer, and a scheduler may have been away
      and v.id in (select t.conversation_id from turns t
        where t.started_at > greatest(v_now - interval '1 day', l.enabled_at) and t.status = 'committed')
      and v.merged_into is null and m.direction = 'out' and m.author = 'agent' and m.kind = 'reply'
      and was_said(m.status) and (not l.only_questions or m.text ~ '\?\s*\S{0,4}\s*$')
      and silenced_by(v, v_now) is null and not exists (select from standing_opt_out(v.contact_id))
      and not exists (select from handoffs h where h.conversation_id = v.id and h.status <> 'returned')
      and not exists (select from follow_ups f where f.conversation_id = v.id
        and (f.status = 'active' or f.since = v.last_inbound_at))
    order by v.id limit p_limit
    on conflict do nothing;
  get diagnostics v_count = row_count;
  return v_count;
end $function$;
revoke all on function public.start_follow_ups(integer,timestamp with time zone) from public;
grant execute on function public.start_follow_ups(integer,timestamp with time zone) to service_role;
grant execute on function public.start_follow_ups(integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.start_send(p_conversation public.conversations, p_message public.messages, p_instance_name text, p_lease_ms integer, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_message messages; v_jid text := send_jid(p_message, p_conversation);
begin
  update messages set status = 'sending', reason = null, goes_at = null, claim = claim + 1, claimed_at = p_now,
    slot_at = p_now, sent_to = v_jid, wire_id = coalesce(wire_id, new_wire_id()), attempts = attempts + 1,
    lease_until = p_now + make_interval(secs => p_lease_ms / 1000.0),
    first_contact = is_offer(p_message.kind)
      and is_stranger(p_conversation.contact_id)
    where id = p_message.id returning * into v_message;
  return jsonb_build_object('action', 'send', 'message_id', v_message.id, 'claim', v_message.claim,
    'instance', p_instance_name, 'number', dial(p_conversation.contact_id, v_jid), 'wire_id', v_message.wire_id,
    'type', v_message.type, 'text', v_message.text, 'quoted_id', v_message.quoted_id,
    'quoted_text', v_message.quoted_text, 'kind', v_message.kind, 'attempts', v_message.attempts,
    'conversation_id', p_conversation.id, 'contact_id', p_conversation.contact_id, 'turn_id', v_message.turn_id,
    'part', v_message.part, 'correlation_id', v_message.correlation_id, 'created_at', v_message.created_at,
    -- what is still unanswered does not end with this: it is said of an outage
    'inbound_at', (select min(i.created_at) from messages i where i.turn_id = v_message.turn_id
      and i.direction = 'in' and i.status <> 'received'));
end $function$;
revoke all on function public.start_send(public.conversations,public.messages,text,integer,timestamp with time zone) from public;
grant execute on function public.start_send(public.conversations,public.messages,text,integer,timestamp with time zone) to service_role;
grant execute on function public.start_send(public.conversations,public.messages,text,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.stop_campaign(p_tenant text, p_name text, p_actor text, p_reason text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v campaigns;
begin
  select * into v from campaigns where tenant_id = p_tenant and name = p_name for no key update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v.status in ('done', 'cancelled') then return jsonb_build_object('outcome', 'state', 'status', v.status); end if;
  update campaign_recipients set status = 'cancelled', reason = 'campaign_stopped'
    where campaign_id = v.id and status = 'waiting';
  update messages set status = 'cancelled', reason = 'campaign_stopped', goes_at = null
    where id in (select o.message_id from outbox o where o.tenant_id = p_tenant and o.campaign_id = v.name
      order by o.message_id) and status = 'queued';
  update campaigns set status = 'cancelled', reason = null, ended_at = v_now where id = v.id returning * into v;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'campaign.stop', v.name, jsonb_build_object('reason', p_reason), v_now);
  return jsonb_build_object('outcome', 'done', 'campaign', campaign_row(v));
end $function$;
revoke all on function public.stop_campaign(text,text,text,text,timestamp with time zone) from public;
grant execute on function public.stop_campaign(text,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.stop_campaign(text,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.stop_send(p_message public.messages, p_stop jsonb, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if not p_stop ? 'end' then
    return hold_send(p_message.id, p_stop ->> 'rule', (p_stop ->> 'until')::timestamptz,
      (p_stop ->> 'look')::timestamptz);
  end if;
  perform end_send(p_message.id, p_stop ->> 'end', p_stop ->> 'rule');
  if p_stop ->> 'rule' = 'answer_too_old' then
    perform open_handoff(p_message.conversation_id, p_message.turn_id, 'answer_too_old', null, false, p_now);
  end if;
  return jsonb_build_object('action', 'ended', 'status', p_stop ->> 'end', 'reason', p_stop ->> 'rule', 'message_id',
    p_message.id, 'kind', p_message.kind);
end $function$;
revoke all on function public.stop_send(public.messages,jsonb,timestamp with time zone) from public;
grant execute on function public.stop_send(public.messages,jsonb,timestamp with time zone) to service_role;
grant execute on function public.stop_send(public.messages,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.store_message(p_conversation public.conversations, p_known bigint, p_event jsonb, p_judged jsonb, p_sent_at timestamp with time zone, p_correlation_id text, p_now timestamp with time zone)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_from_me boolean := (p_event ->> 'fromMe')::boolean;
  v_is_reaction boolean := p_event ->> 'kind' = 'reaction';
  v_is_machine boolean := coalesce((p_event ->> 'machine')::boolean, false);
  v_meaning jsonb := nullif(p_judged -> 'meaning', 'null');
  v_speaks boolean := not (v_from_me or v_is_reaction or coalesce(v_meaning ? 'command', false));
  v_id bigint := p_known;
begin
  if p_known is not null then
    perform complete_message(p_known, p_event, v_meaning, p_judged ->> 'verdict');
  else
    insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, reason, text,
      typed, meaning, media, provider_id, provider_at, quoted_id, quoted_text, wordless, correlation_id, created_at)
      values (p_conversation.tenant_id, p_conversation.instance_id, p_conversation.id, p_conversation.last_seq + 1,
        case when v_from_me then 'out' else 'in' end, event_author(v_from_me, p_judged ->> 'verdict'),
        case when v_is_reaction then 'reaction' else p_event -> 'content' ->> 'type' end,
        case when v_from_me then 'sent' when v_is_reaction or v_is_machine then 'skipped' else 'received' end,
        case when v_from_me then nullif(p_judged ->> 'verdict', 'person') when v_is_machine then 'whatsapp_machine'
          when v_is_reaction then 'reaction' end,
        event_text(p_event), p_event -> 'content' ->> 'typed', v_meaning,
        nullif(p_event -> 'content' -> 'media', 'null'), p_event ->> 'providerId', p_sent_at,
        coalesce(p_event ->> 'targetId', p_event -> 'quoted' ->> 'providerId'), p_event -> 'quoted' ->> 'text',
        coalesce((p_event -> 'content' ->> 'wordless')::boolean, false), p_correlation_id, p_now)
      returning id into v_id;
  end if;
  update conversations set last_seq = last_seq + (p_known is null)::int,
    inbound_seq = inbound_seq + (v_speaks and not v_is_machine)::int,
    last_inbound_at = case when v_speaks then greatest(last_inbound_at, p_sent_at) else last_inbound_at end
    where id = p_conversation.id;
  return v_id;
end $function$;
revoke all on function public.store_message(public.conversations,bigint,jsonb,jsonb,timestamp with time zone,text,timestamp with time zone) from public;
grant execute on function public.store_message(public.conversations,bigint,jsonb,jsonb,timestamp with time zone,text,timestamp with time zone) to service_role;
grant execute on function public.store_message(public.conversations,bigint,jsonb,jsonb,timestamp with time zone,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.stored_webhook(p_tenant text, p_id bigint)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select to_jsonb(w) from webhook_events w where w.id = p_id and w.tenant_id = p_tenant
$function$;
revoke all on function public.stored_webhook(text,bigint) from public;
grant execute on function public.stored_webhook(text,bigint) to service_role;
grant execute on function public.stored_webhook(text,bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.stuck_rows(p_now timestamp with time zone)
 RETURNS bigint
 LANGUAGE sql
 STABLE
AS $function$
  select (select count(*) from on_wire where status = 'sending' and lease_until < clock(p_now) - interval '1 minute')
    + (select count(*) from on_wire where status = 'uncertain' and claimed_at < clock(p_now) - interval '15 minutes')
    + (select count(*) from turns where status = 'open' and lease_until < clock(p_now) - interval '1 minute')
$function$;
revoke all on function public.stuck_rows(timestamp with time zone) from public;
grant execute on function public.stuck_rows(timestamp with time zone) to service_role;
grant execute on function public.stuck_rows(timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.subscription_row(p_subscription public.subscriptions)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('id', p_subscription.id, 'url', p_subscription.url, 'types', p_subscription.types,
    'status', p_subscription.status, 'cursor', p_subscription.cursor, 'secret_name', p_subscription.secret,
    'previous_until', p_subscription.previous_until, 'failures', p_subscription.failures,
    'failing_since', p_subscription.failing_since, 'due_at', p_subscription.due_at,
    'last_fault', p_subscription.last_fault, 'delivered_at', p_subscription.delivered_at,
    'waiting', (select count(*) from events e where e.tenant_id = p_subscription.tenant_id
      and (e.seq is null or e.seq > p_subscription.cursor)
      and (p_subscription.types is null or p_subscription.types ? e.type)))
$function$;
revoke all on function public.subscription_row(public.subscriptions) from public;
grant execute on function public.subscription_row(public.subscriptions) to service_role;
grant execute on function public.subscription_row(public.subscriptions) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.summary_due(p_conversation public.conversations, p_now timestamp with time zone)
 RETURNS bigint
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select w.through from (select (p_conversation.last_seq / 40 - case when p_conversation.last_seq % 40 >= 20 then 1
      else 2 end) * 40 as through) w
    where w.through > 0 and not exists (select from summaries s where s.conversation_id = p_conversation.id
      and s.through_seq = w.through and (s.words is not null or s.lease_until > p_now or s.attempts >= 3))
$function$;
revoke all on function public.summary_due(public.conversations,timestamp with time zone) from public;
grant execute on function public.summary_due(public.conversations,timestamp with time zone) to service_role;
grant execute on function public.summary_due(public.conversations,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.summary_of(p_conversation public.conversations)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select s.words from summaries s where s.conversation_id = p_conversation.id and s.words is not null
    and s.through_seq <= (p_conversation.last_seq / 40 - 2) * 40 order by s.through_seq desc limit 1
$function$;
revoke all on function public.summary_of(public.conversations) from public;
grant execute on function public.summary_of(public.conversations) to service_role;
grant execute on function public.summary_of(public.conversations) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.supersede_turn(p_turn public.turns, p_reason text, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update turns set status = 'superseded', reason = coalesce(p_reason, 'contact_wrote_again'), ended_at = p_now
    where id = p_turn.id;
  update conversations set superseded_in_row = superseded_in_row + 1
    where id = p_turn.conversation_id and p_reason is distinct from 'shutdown';
  return jsonb_build_object('outcome', 'superseded', 'first_pending_at', first_pending(p_turn.conversation_id));
end $function$;
revoke all on function public.supersede_turn(public.turns,text,timestamp with time zone) from public;
grant execute on function public.supersede_turn(public.turns,text,timestamp with time zone) to service_role;
grant execute on function public.supersede_turn(public.turns,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.suppress_turn(p_conversation public.conversations, p_turn public.turns, p_stop text, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update turns set status = 'suppressed', reason = p_stop, ended_at = p_now where id = p_turn.id;
  if p_stop <> 'paused' then
    update messages set status = case when p_stop in ('opted_out', 'observe') then 'skipped' else 'handed_over' end,
      reason = case p_stop when 'observe' then 'observed' else p_stop end
      where turn_id = p_turn.id and direction = 'in' and status = 'received';
    if p_conversation.deferred_since is not null then perform end_deferral(p_conversation.id); end if;
  end if;
  return jsonb_build_object('outcome', 'suppressed', 'reason', p_stop);
end $function$;
revoke all on function public.suppress_turn(public.conversations,public.turns,text,timestamp with time zone) from public;
grant execute on function public.suppress_turn(public.conversations,public.turns,text,timestamp with time zone) to service_role;
grant execute on function public.suppress_turn(public.conversations,public.turns,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.swap_secret(p_instance text, p_old text, p_new text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update instances set evolution_key = case evolution_key when p_old then p_new else evolution_key end,
    webhook_secret = case webhook_secret when p_old then p_new else webhook_secret end,
    webhook_secret_previous = case webhook_secret_previous when p_old then p_new else webhook_secret_previous end
    where name = p_instance and p_old in (evolution_key, webhook_secret, webhook_secret_previous);
  return jsonb_build_object('swapped', found);
end $function$;
revoke all on function public.swap_secret(text,text,text) from public;
grant execute on function public.swap_secret(text,text,text) to service_role;
grant execute on function public.swap_secret(text,text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.swap_tenant_secret(p_tenant text, p_name text, p_old text, p_new text)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update tenant_secrets set sealed = p_new where tenant_id = p_tenant and name = p_name and sealed = p_old;
  return found;
end $function$;
revoke all on function public.swap_tenant_secret(text,text,text,text) from public;
grant execute on function public.swap_tenant_secret(text,text,text,text) to service_role;
grant execute on function public.swap_tenant_secret(text,text,text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.sweep_deferred(p_available_ms numeric, p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(id), '[]') from (
    select c.id from conversations c join instances i on i.id = c.instance_id
    where c.deferred_until is not null and (c.deferred_until <= (select clock(p_now))
        or (c.deferred_reason not in ('replies_wait', 'answer_withdrawn') and (select max(t.started_at) from turns t
          where t.conversation_id = c.id) < (select clock(p_now)) - make_interval(secs => p_available_ms / 1000)))
      and not exists (select from turns t where t.conversation_id = c.id and t.status = 'open'
        and t.lease_until > clock(p_now))
      and pause_reason(c.tenant_id, i.name, c.id, null) is null
    order by c.deferred_since limit p_limit) s
$function$;
revoke all on function public.sweep_deferred(numeric,integer,timestamp with time zone) from public;
grant execute on function public.sweep_deferred(numeric,integer,timestamp with time zone) to service_role;
grant execute on function public.sweep_deferred(numeric,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.sweep_sends(p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(id), '[]') from (
    select m.conversation_id as id from (
        select o.conversation_id, o.message_id, o.kind, o.campaign_id from outbox o
          where o.due_at <= (select clock(p_now))
        union all select w.conversation_id, w.message_id, w.kind, w.campaign_id from on_wire w
          where (select clock(p_now)) >= case w.status when 'sending' then w.lease_until else w.due_at end) m
      join conversations c on c.id = m.conversation_id join instances i on i.id = c.instance_id
    where c.merged_into is null
      and (m.kind = 'operator' or pause_reason(c.tenant_id, i.name, c.id, m.campaign_id) is null)
    group by m.conversation_id order by min(m.message_id) limit p_limit) s
$function$;
revoke all on function public.sweep_sends(integer,timestamp with time zone) from public;
grant execute on function public.sweep_sends(integer,timestamp with time zone) to service_role;
grant execute on function public.sweep_sends(integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.sweep_tool_writes(p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v record; v_told bigint[] := '{}';
begin
  for v in select w.id, w.conversation_id from tool_writes w where w.status = 'sending' and w.lease_until < v_now
    order by w.conversation_id limit p_limit loop
    perform from conversations where id = v.conversation_id for no key update;
    perform from tool_writes where id = v.id and status = 'sending' and lease_until < v_now for update;
    if found then
      perform end_tool_write(v.id, 'uncertain', 'tool_worker_lost', null, v_now);
      v_told := v_told || v.conversation_id;
    end if;
  end loop;
  for v in select a.id, a.conversation_id from approvals a where a.status = 'waiting' and a.expires_at <= v_now
    order by a.conversation_id limit p_limit loop
    perform from conversations where id = v.conversation_id for no key update;
    perform expire_approval(a, v_now) from approvals a where a.id = v.id and a.status = 'waiting';
    v_told := v_told || v.conversation_id;
  end loop;
  return jsonb_build_object('conversations', to_jsonb(v_told),
    'due', (select coalesce(jsonb_agg(id), '[]') from (select id from tool_writes where status = 'queued'
      and due_at <= v_now order by due_at limit p_limit) d),
    'untold', (select coalesce(jsonb_agg(jsonb_build_object('id', id, 'tenant', tenant_id)), '[]') from (select id,
      tenant_id from approvals where status = 'waiting' and told_at is null order by id limit p_limit) u));
end $function$;
revoke all on function public.sweep_tool_writes(integer,timestamp with time zone) from public;
grant execute on function public.sweep_tool_writes(integer,timestamp with time zone) to service_role;
grant execute on function public.sweep_tool_writes(integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.sweep_turns(p_older_ms integer, p_limit integer, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(id), '[]') from (
    select m.conversation_id as id from inbox m
      join conversations c on c.id = m.conversation_id join instances i on i.id = c.instance_id
    where m.created_at <= clock(p_now) - make_interval(secs => p_older_ms / 1000.0)
      and not exists (select 1 from turns t where t.conversation_id = m.conversation_id and t.status = 'open'
        and t.lease_until > clock(p_now))
      and (m.command or (pause_reason(c.tenant_id, i.name, c.id, null) is null
        and coalesce(c.deferred_until <= clock(p_now), true)))
    group by m.conversation_id order by min(m.created_at) limit p_limit) s
$function$;
revoke all on function public.sweep_turns(integer,integer,timestamp with time zone) from public;
grant execute on function public.sweep_turns(integer,integer,timestamp with time zone) to service_role;
grant execute on function public.sweep_turns(integer,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.tag_contacts(p_tenant text, p_phones jsonb, p_add jsonb, p_remove jsonb, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_ids bigint[]; v_unknown jsonb; v_added int; v_taken int;
begin
  select coalesce(array_agg(distinct f.id) filter (where f.id is not null), '{}'),
    coalesce(jsonb_agg(p.phone) filter (where f.id is null), '[]') into v_ids, v_unknown
    from jsonb_array_elements_text(p_phones) p (phone), lateral (select find_contact(p_tenant, null, p.phone) as id) f;
  insert into contact_tags (tenant_id, contact_id, tag, added_by, created_at)
    select p_tenant, i, t, p_actor, clock(p_now) from unnest(v_ids) i, jsonb_array_elements_text(p_add) t
      order by 2, 3 on conflict do nothing;
  get diagnostics v_added = row_count;
  delete from contact_tags where tenant_id = p_tenant and contact_id = any (v_ids)
    and tag in (select jsonb_array_elements_text(p_remove));
  get diagnostics v_taken = row_count;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'contact.tag', cardinality(v_ids)::text,
      jsonb_build_object('add', p_add, 'remove', p_remove), clock(p_now));
  return jsonb_build_object('changed', v_added + v_taken, 'unknown', v_unknown);
end $function$;
revoke all on function public.tag_contacts(text,jsonb,jsonb,jsonb,text,timestamp with time zone) from public;
grant execute on function public.tag_contacts(text,jsonb,jsonb,jsonb,text,timestamp with time zone) to service_role;
grant execute on function public.tag_contacts(text,jsonb,jsonb,jsonb,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.take_asked(p_actor text, p_place text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v operator_asks;
begin
  delete from operator_asks where actor = p_actor and place = p_place returning * into v;
  return case when v.expires_at > clock(p_now) then v.command end;
end $function$;
revoke all on function public.take_asked(text,text,timestamp with time zone) from public;
grant execute on function public.take_asked(text,text,timestamp with time zone) to service_role;
grant execute on function public.take_asked(text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.take_back_answer(p_turn bigint)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if p_turn is null or not exists (select from messages o where o.turn_id = p_turn and o.direction = 'out'
    and o.status in ('queued', 'draft'))
    or exists (select from messages o where o.turn_id = p_turn and o.direction = 'out'
      and o.status not in ('queued', 'draft', 'cancelled')) then return false; end if;
  perform note_withdrawn(t.conversation_id) from turns t where t.id = p_turn;
  update messages set status = 'cancelled', reason = 'contact_wrote', goes_at = null
    where turn_id = p_turn and direction = 'out' and status in ('queued', 'draft');
  update messages set status = 'received', reason = null
    where turn_id = p_turn and direction = 'in'
    and (status = 'answered' or (status = 'handed_over' and reason = 'draft'));
  return true;
end $function$;
revoke all on function public.take_back_answer(bigint) from public;
grant execute on function public.take_back_answer(bigint) to service_role;
grant execute on function public.take_back_answer(bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.take_back_opt_out(p_conversation public.conversations, p_from jsonb, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_opt_out opt_outs;
  v_here bigint := p_conversation.instance_id;
begin
  select * into v_opt_out from opt_outs where contact_id = p_conversation.contact_id and revoked_at is null;
  if speaks_alone(p_from) and v_opt_out.said_on = '{}' and known_elsewhere(p_conversation.contact_id, v_here)
    then return false; end if;
  if speaks_alone(p_from) and not v_opt_out.said_on <@ array[v_here] then
    update opt_outs set said_on = array_remove(said_on, v_here) where id = v_opt_out.id;
    return false;
  end if;
  return revoke_opt_out(p_conversation.contact_id, 'contact', null, p_now);
end $function$;
revoke all on function public.take_back_opt_out(public.conversations,jsonb,timestamp with time zone) from public;
grant execute on function public.take_back_opt_out(public.conversations,jsonb,timestamp with time zone) to service_role;
grant execute on function public.take_back_opt_out(public.conversations,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.take_conversation(p_tenant text, p_conversation bigint, p_actor text, p_force boolean, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v conversations; v_now timestamptz := clock(p_now);
begin
  select * into v from conversations where id = p_conversation and tenant_id = p_tenant for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v.merged_into is not null then return take_conversation(p_tenant, v.merged_into, p_actor, p_force, p_now); end if;
  if v.taken_by <> p_actor and not p_force then
    return jsonb_build_object('outcome', 'has', 'by', v.taken_by, 'since', v.taken_at);
  end if;
  if v.taken_by = p_actor and v.controlled_by = 'human' then
    return jsonb_build_object('outcome', 'taken', 'conversation_id', v.id);
  end if;
  insert into handoffs (tenant_id, conversation_id, reason, controls, status, created_at, notified_at, taken_at)
    values (v.tenant_id, v.id, coalesce(v.escalation_reason, 'human'), true, 'notified', v_now, v_now, v_now)
    on conflict do nothing;
  update handoffs set taken_at = coalesce(taken_at, v_now), status = 'notified', notified_at = coalesce(notified_at,
    v_now) where conversation_id = v.id and status <> 'returned';
  update conversations set controlled_by = 'human', escalation_reason = coalesce(escalation_reason, 'human'),
    taken_by = p_actor, taken_at = v_now where id = v.id;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'conversation.take', v.id::text, jsonb_build_object('from', v.taken_by), v_now);
  return jsonb_build_object('outcome', 'taken', 'conversation_id', v.id);
end $function$;
revoke all on function public.take_conversation(text,bigint,text,boolean,timestamp with time zone) from public;
grant execute on function public.take_conversation(text,bigint,text,boolean,timestamp with time zone) to service_role;
grant execute on function public.take_conversation(text,bigint,text,boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.take_follow_up_step(p_id bigint, p_company text, p_policy jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v conversations; f follow_ups; v_steps jsonb; v_last messages; v_over text;
  v_due timestamptz;
begin
  select c.* into v from follow_ups r join conversations c on c.id = r.conversation_id where r.id = p_id
    for no key update of c;
  select * into f from follow_ups where id = p_id and status = 'active' and due_at <= v_now for update;
  if not found then return jsonb_build_object('conversation_id', null); end if;
  select steps into v_steps from follow_up_ladders where tenant_id = f.tenant_id;
  select * into v_last from messages where id = f.message_id;
  v_over := coalesce(follow_up_over(f, v, p_policy, v_now),
    case when v_last.status in ('cancelled', 'blocked', 'expired', 'failed') then v_last.reason end);
  if v_over is not null or f.step >= jsonb_array_length(v_steps) then
    update follow_ups set status = case when v_over is null then 'done' else 'cancelled' end, reason = v_over,
      ended_at = v_now where id = p_id;
    return jsonb_build_object('conversation_id', null);
  end if;
  v_due := case when v_last.status in ('queued', 'sending') or pause_reason(v.tenant_id, (select name from instances
      where id = v.instance_id), v.id, null) is not null then v_now + interval '10 minutes'
    else v_last.slot_at + make_interval(mins => (v_steps -> f.step ->> 'after_minutes')::int) end;
  if v_due > v_now then
    update follow_ups set due_at = v_due where id = p_id;
    return jsonb_build_object('conversation_id', null);
  end if;
  update follow_ups set step = f.step + 1, due_at = v_now + make_interval(mins =>
      coalesce((v_steps -> (f.step + 1) ->> 'after_minutes')::int, 60)),
    message_id = queue_later(v, 'follow_up', 'agent', follow_up_text(v_steps -> f.step ->> 'text',
      (select name from contacts where id = v.contact_id), p_company), v_now + interval '1 day', v_now)
    where id = p_id;
  return jsonb_build_object('conversation_id', v.id);
end $function$;
revoke all on function public.take_follow_up_step(bigint,text,jsonb,timestamp with time zone) from public;
grant execute on function public.take_follow_up_step(bigint,text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.take_follow_up_step(bigint,text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.take_forward(p_conversation bigint, p_upto bigint, p_notice jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v conversations; v_left bigint; v_added boolean := false;
begin
  select * into v from conversations where id = p_conversation for no key update;
  if not found or v.forward_due_at is null or v.forward_due_at > clock(p_now) or v.forward_from > p_upto
    then return jsonb_build_object('added', false); end if;
  if coalesce(jsonb_typeof(p_notice), 'null') <> 'null' then
    v_added := (add_notice(p_notice || jsonb_build_object('key', 'forward-' || v.id || '-' || p_upto),
      p_now) ->> 'added')::boolean;
  end if;
  select min(seq) into v_left from messages where conversation_id = v.id and direction = 'in' and seq > p_upto
    and status = 'handed_over'
    and reason in ('human', 'takeover', 'manual') and type <> 'reaction' and deleted_at is null;
  update conversations set forwarded_at = case when v_added then clock(p_now) else forwarded_at end,
    forward_from = v_left,
    forward_due_at = case when v_left is not null then clock(p_now) + interval '1 minute' end where id = v.id;
  return jsonb_build_object('added', v_added);
end $function$;
revoke all on function public.take_forward(bigint,bigint,jsonb,timestamp with time zone) from public;
grant execute on function public.take_forward(bigint,bigint,jsonb,timestamp with time zone) to service_role;
grant execute on function public.take_forward(bigint,bigint,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.take_inbound(p_conversation public.conversations, p_id bigint, p_contact bigint, p_intent text, p_sent_at timestamp with time zone, p_options jsonb, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_wake bigint[]; v_first timestamptz;
begin
  if p_intent = 'bot_question' then
    insert into bot_suspicions (tenant_id, conversation_id, message_id, created_at)
      values (p_conversation.tenant_id, p_conversation.id, p_id, p_now);
  end if;
  if p_conversation.takeover_until > p_now then v_wake := judge_again(p_conversation, p_sent_at, p_now); end if;
  if exists (select from outbox where conversation_id = p_conversation.id)
    and (p_options ->> 'withdrawParts')::boolean then
    perform withdraw_parts(p_conversation.id);
  end if;
  if exists (select from drafts where conversation_id = p_conversation.id) then
    perform withdraw_drafts(p_conversation.id);
  end if;
  v_first := first_pending(p_conversation.id);
  return jsonb_build_object('outcome', 'stored', 'wake', v_first is not null, 'wake_turns', v_wake,
    'first_pending_at', v_first, 'inbound_at', p_now, 'contact_id', p_contact,
    'age_seconds', extract(epoch from p_now - p_sent_at));
end $function$;
revoke all on function public.take_inbound(public.conversations,bigint,bigint,text,timestamp with time zone,jsonb,timestamp with time zone) from public;
grant execute on function public.take_inbound(public.conversations,bigint,bigint,text,timestamp with time zone,jsonb,timestamp with time zone) to service_role;
grant execute on function public.take_inbound(public.conversations,bigint,bigint,text,timestamp with time zone,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.take_meaning(p_conversation public.conversations, p_meaning jsonb, p_from_me boolean, p_said_at timestamp with time zone, p_commands boolean, p_from jsonb, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_intent text := p_meaning ->> 'intent';
begin
  if p_from_me then
    return case when p_meaning ->> 'handset' is not null then jsonb_build_object('handset', p_meaning ->> 'handset')
      end;
  end if;
  if p_commands and coalesce(jsonb_typeof(p_meaning -> 'command'), 'null') <> 'null' then
    return jsonb_build_object('command', p_meaning -> 'command');
  end if;
  if v_intent in ('opt_out', 'resubscribe') and exists (select from messages m
    where m.conversation_id = p_conversation.id and m.direction = 'in'
      and m.meaning ->> 'intent' in ('opt_out', 'opt_out_again', 'resubscribe') and m.provider_at > p_said_at)
        then return null; end if;
  if v_intent = 'opt_out' and not add_opt_out(p_conversation.contact_id, 'message', p_now, p_conversation.instance_id)
    then v_intent := 'opt_out_again'; end if;
  if v_intent = 'resubscribe' and not take_back_opt_out(p_conversation, p_from, p_now) then v_intent := null; end if;
  return case when v_intent is not null then jsonb_build_object('intent', v_intent) end;
end $function$;
revoke all on function public.take_meaning(public.conversations,jsonb,boolean,timestamp with time zone,boolean,jsonb,timestamp with time zone) from public;
grant execute on function public.take_meaning(public.conversations,jsonb,boolean,timestamp with time zone,boolean,jsonb,timestamp with time zone) to service_role;
grant execute on function public.take_meaning(public.conversations,jsonb,boolean,timestamp with time zone,boolean,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.take_own(p_conversation public.conversations, p_id bigint, p_sent_at timestamp with time zone, p_key text, p_verdict text, p_handset text, p_options jsonb, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_cap interval := make_interval(mins => (p_options ->> 'takeoverCapMinutes')::int);
  -- "off" lasts as long as any takeover may; other words slide it
  v_until timestamptz := p_sent_at + case when p_handset = 'off' then v_cap
    else make_interval(mins => (p_options ->> 'takeoverMinutes')::int) end;
  v_since timestamptz := case when p_conversation.takeover_until > p_now then p_conversation.takeover_since
    else p_now end;
begin
  if p_handset = 'on' then
    perform give_back(p_conversation.id, 'handset', p_now);
    perform audit_handset(p_conversation, 'on', p_now);
    return jsonb_build_object('outcome', 'returned');
  end if;
  if p_verdict <> 'person' then
    if p_verdict = 'greeting' then update instances set greeting_message = p_id
      where id = p_conversation.instance_id and greeting_message is null; end if;
    return jsonb_build_object('outcome', 'automatic', 'reason', p_verdict, 'wake_turns',
      case when p_verdict in ('greeting', 'broadcast') and p_key is not null
        then to_jsonb(mark_automatic(p_conversation.instance_id, p_key, p_verdict, p_sent_at, p_now)) end);
  end if;
  update handoffs set taken_at = p_now where conversation_id = p_conversation.id and status <> 'returned'
    and taken_at is null;
  if v_until <= p_now then return jsonb_build_object('outcome', 'context'); end if;
  update conversations set takeover_since = v_since,
    takeover_until = greatest(takeover_until, least(v_until, v_since + v_cap)) where id = p_conversation.id;
  if p_handset = 'off' then perform audit_handset(p_conversation, 'off', p_now); end if;
  return jsonb_build_object('outcome', 'takeover');
end $function$;
revoke all on function public.take_own(public.conversations,bigint,timestamp with time zone,text,text,text,jsonb,timestamp with time zone) from public;
grant execute on function public.take_own(public.conversations,bigint,timestamp with time zone,text,text,text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.take_own(public.conversations,bigint,timestamp with time zone,text,text,text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.take_pace(p_instance public.instances, p_kind text, p_policy jsonb, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_min numeric := coalesce(p_instance.pace_min_seconds, (p_policy ->> 'paceMinSeconds')::numeric);
v_max numeric := coalesce(p_instance.pace_max_seconds, (p_policy ->> 'paceMaxSeconds')::numeric);
begin
  if is_notice(p_kind) then
    update instances set next_notice_at = p_now + make_interval(secs => (0.5 + (p_policy ->> 'random')::numeric)
      * 1200 / greatest(1, (p_policy ->> 'noticeCapHour')::int)) where id = p_instance.id
      and (p_policy ->> 'noticeCapHour')::int > 0;
    return;
  end if;
  update instances set next_proactive_at = p_now
    + make_interval(secs => v_min + (p_policy ->> 'random')::numeric * greatest(0, v_max - v_min))
    where id = p_instance.id;
end $function$;
revoke all on function public.take_pace(public.instances,text,jsonb,timestamp with time zone) from public;
grant execute on function public.take_pace(public.instances,text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.take_pace(public.instances,text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.take_slack_event(p_event text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_taken boolean;
begin
  insert into slack_events (event_id, created_at) values (p_event, clock(p_now)) on conflict do nothing;
  v_taken := found;
  delete from slack_events where event_id in (select event_id from slack_events
    where created_at < clock(p_now) - interval '1 day' limit 100);
  return jsonb_build_object('taken', v_taken);
end $function$;
revoke all on function public.take_slack_event(text,timestamp with time zone) from public;
grant execute on function public.take_slack_event(text,timestamp with time zone) to service_role;
grant execute on function public.take_slack_event(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.take_trial(p_instance text, p_process text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update instances i set trial_by = p_process, trial_until = clock(p_now) + interval '100 seconds'
    where i.name = p_instance
    and (i.trial_until is null or i.trial_until <= clock(p_now) or i.trial_by = p_process
      or exists (select from process_status p where p.id = i.trial_by and not is_heard(p.seen_at, clock(p_now))));
  return jsonb_build_object('taken', found);
end $function$;
revoke all on function public.take_trial(text,text,timestamp with time zone) from public;
grant execute on function public.take_trial(text,text,timestamp with time zone) to service_role;
grant execute on function public.take_trial(text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.talk_subject(p_conversation bigint, p_message bigint)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object('contact_id', c.contact_id, 'conversation_id', c.id, 'instance', i.name,
      'phone', case when c.jid like '%@s.whatsapp.net' then split_part(c.jid, '@', 1) else (select a.address
        from contact_addresses a where a.contact_id = c.contact_id and a.kind = 'pn' order by a.id desc limit 1) end)
      || case when p_message is null then '{}' else jsonb_build_object('message_id', p_message) end
    from conversations c join instances i on i.id = c.instance_id where c.id = p_conversation
$function$;
revoke all on function public.talk_subject(bigint,bigint) from public;
grant execute on function public.talk_subject(bigint,bigint) to service_role;
grant execute on function public.talk_subject(bigint,bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.teach_addresses(p_instance text, p_pairs jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_instance instances;
  v_pair record;
  v_pn bigint;
  v_lid bigint;
  v_learned int := 0;
begin
  select * into v_instance from instances where name = p_instance;
  for v_pair in select e ->> 'pn' as pn, e ->> 'lid' as lid, (e ->> 'sent_at')::timestamptz as sent_at
    from jsonb_array_elements(p_pairs) e loop
    v_pn := contact_at(v_instance, v_pair.pn, null);
    v_lid := contact_at(v_instance, null, v_pair.lid);
    continue when coalesce(v_pn, v_lid) is null or v_pn <> v_lid
      or (v_pn = v_lid and leads_to(v_pn, v_instance.id, v_pair.lid || '@lid', v_pair.pn));
    perform ensure_contact(v_instance, v_pair.pn, v_pair.lid, null, v_pair.sent_at, p_now, null, '{"ourselves": true}');
    v_learned := v_learned + 1;
  end loop;
  return jsonb_build_object('learned', v_learned);
end $function$;
revoke all on function public.teach_addresses(text,jsonb,timestamp with time zone) from public;
grant execute on function public.teach_addresses(text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.teach_addresses(text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.tell_handed_over()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_handoff handoffs;
begin
  if not exists (select from event_feeds where tenant_id = new.tenant_id and kept) then return null; end if;
  select * into v_handoff from handoffs where conversation_id = new.id and controls and status <> 'returned';
  perform emit_event(new.tenant_id, 'conversation.handed_over', null, talk_subject(new.id, null), jsonb_build_object(
      'handoff_id', v_handoff.id, 'reason', handoff_code(new.escalation_reason), 'summary', v_handoff.summary,
      'taken_by', new.taken_by),
    (select correlation_id from turns where id = v_handoff.turn_id),
    event_of_turn(new.tenant_id, v_handoff.turn_id), null);
  return null;
end $function$;
revoke all on function public.tell_handed_over() from public;
grant execute on function public.tell_handed_over() to service_role;
grant execute on function public.tell_handed_over() to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.tell_instance()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  perform emit_event(new.tenant_id, 'instance.status', null, '{}', jsonb_build_object('instance', new.name,
    'phone', new.phone, 'status', new.status, 'was', old.status, 'status_reason', new.status_reason), null, null, null);
  return null;
end $function$;
revoke all on function public.tell_instance() from public;
grant execute on function public.tell_instance() to service_role;
grant execute on function public.tell_instance() to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.tell_of_ceiling(p_tenant text, p_ceiling text, p_rung text, p_model text, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE sql
AS $function$
  select add_notice(jsonb_build_object('tenant', p_tenant, 'key', 'spend-' || p_ceiling || '-' || p_rung || '-'
      || case when p_rung = 'model' or p_ceiling = 'unpriced' then p_model || '-' else '' end
      || to_char(p_now at time zone 'UTC', case p_ceiling when 'month' then 'YYYY-MM' else 'YYYY-MM-DD' end),
    'kind', 'alert', 'urgent', p_rung = 'person', 'about', null, 'text', case
      when p_ceiling = 'unpriced' then 'O modelo ' || p_model || ' não tem preço conhecido e há um teto de gasto, então ele não é consultado: as conversas ficam para pessoas. Escolha um modelo com preço (npm run admin -- doctor), ou tire o teto.'
      when p_rung = 'model' then 'O teto de gasto ' || n.of || ' não tem mais lugar para o modelo ' || p_model
        || ': só o mais barato responde.'
      else 'O teto de gasto ' || n.of || ' foi atingido: nenhum modelo é consultado até ' || n.period
        || ' virar (UTC), e as conversas ficam para pessoas. Veja npm run admin -- spend.' end), p_now)
    from (select case p_ceiling when 'day' then 'do dia (MAX_USD_DIA)' else 'do mês (MAX_USD_MES)' end as of,
      case p_ceiling when 'day' then 'o dia' else 'o mês' end as period) n
    where p_ceiling in ('day', 'month', 'unpriced')
$function$;
revoke all on function public.tell_of_ceiling(text,text,text,text,timestamp with time zone) from public;
grant execute on function public.tell_of_ceiling(text,text,text,text,timestamp with time zone) to service_role;
grant execute on function public.tell_of_ceiling(text,text,text,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.tell_received()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if new.meaning ? 'command' or not exists (select from event_feeds where tenant_id = new.tenant_id and kept) then
    return null;
  end if;
  perform emit_event(new.tenant_id, 'message.received', new.id || case tg_op when 'UPDATE' then '/words' else '' end,
    talk_subject(new.conversation_id, new.id), jsonb_build_object(
      'name', (select k.name from conversations c join contacts k on k.id = c.contact_id
        where c.id = new.conversation_id),
      'type', new.type, 'text', coalesce(new.typed, new.text), 'wordless', new.wordless,
      'provider_id', new.provider_id, 'sent_at', utc_text(new.provider_at)),
    new.correlation_id, null, new.created_at);
  return null;
end $function$;
revoke all on function public.tell_received() from public;
grant execute on function public.tell_received() to service_role;
grant execute on function public.tell_received() to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.tell_sent()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_subject jsonb; v_cause uuid; v_notice order_notices;
begin
  if not exists (select from event_feeds where tenant_id = new.tenant_id and kept) then return null; end if;
  v_subject := talk_subject(new.conversation_id, new.id);
  if new.turn_id is not null then v_cause := event_of_turn(new.tenant_id, new.turn_id); end if;
  v_cause := coalesce(emit_event(new.tenant_id, 'message.sent', new.id::text, v_subject, jsonb_build_object(
      'kind', new.kind, 'author', new.author, 'type', new.type, 'text', new.text, 'provider_id', new.provider_id,
      'campaign', new.campaign_id, 'sent_at', utc_text(new.provider_at)),
    new.correlation_id, v_cause, new.provider_at), v_cause);
  if not is_notice(new.kind) then return null; end if;
  select * into v_notice from order_notices where message_id = new.id and outcome = 'queued' order by id limit 1;
  if found then
    perform emit_event(new.tenant_id, 'notice.sent', v_notice.id::text, v_subject, jsonb_build_object(
        'notice_id', v_notice.id, 'type', v_notice.type, 'reference', v_notice.reference, 'test', v_notice.test,
        'sent_at', utc_text(new.provider_at)),
      new.correlation_id, v_cause, new.provider_at);
  end if;
  return null;
end $function$;
revoke all on function public.tell_sent() from public;
grant execute on function public.tell_sent() to service_role;
grant execute on function public.tell_sent() to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.tenant_of_poster(p_from jsonb)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if not p_from ? 'instance' then return coalesce(p_from ->> 'tenant', 'default'); end if;
  return coalesce(p_from ->> 'tenant', (select tenant_id from instances where name = p_from ->> 'instance'), 'default');
end $function$;
revoke all on function public.tenant_of_poster(jsonb) from public;
grant execute on function public.tenant_of_poster(jsonb) to service_role;
grant execute on function public.tenant_of_poster(jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.tenant_secret(p_tenant text, p_name text)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select sealed from tenant_secrets where tenant_id = p_tenant and name = p_name
$function$;
revoke all on function public.tenant_secret(text,text) from public;
grant execute on function public.tenant_secret(text,text) to service_role;
grant execute on function public.tenant_secret(text,text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.tenant_secret_list(p_tenant text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('tenant', tenant_id, 'name', name, 'sealed', sealed)
    order by tenant_id, name), '[]') from tenant_secrets where p_tenant is null or tenant_id = p_tenant
$function$;
revoke all on function public.tenant_secret_list(text) from public;
grant execute on function public.tenant_secret_list(text) to service_role;
grant execute on function public.tenant_secret_list(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.tend_spend(p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_now timestamptz := clock(p_now); v_id bigint; v_turn turns; v_summary summaries; v_count int := 0;
begin
  for v_id in select t.conversation_id from spend_reservations r join turns t on t.id = r.turn_id
    where t.lease_until <= v_now order by 1 limit 100 loop
    perform 1 from conversations where id = v_id for no key update;
    for v_turn in select t.* from spend_reservations r join turns t on t.id = r.turn_id
      where t.conversation_id = v_id and t.lease_until <= v_now loop
      -- one that an erasure or a merge has ended waits for a worker that may be dead
      if v_turn.status = 'open' then perform expire_turn(v_turn, v_now);
      else perform settle_lost(v_turn, v_now); end if;
      v_count := v_count + 1;
    end loop;
  end loop;
  for v_id in select m.id from spend_reservations r join media m on m.id = r.media_id
    where coalesce(m.lease_until <= v_now, true) order by m.id limit 100 for update of m skip locked loop
    perform settle_lost_media(v_id, v_now);
    v_count := v_count + 1;
  end loop;
  for v_id in select s.conversation_id from spend_reservations r join summaries s on s.id = r.summary_id
    where coalesce(s.lease_until <= v_now, true) order by 1 limit 100 loop
    perform 1 from conversations where id = v_id for no key update;
    select s.* into v_summary from spend_reservations r join summaries s on s.id = r.summary_id
      where s.conversation_id = v_id and coalesce(s.lease_until <= v_now, true) limit 1;
    continue when not found;
    perform settle_lost_summary(v_summary, v_now);
    v_count := v_count + 1;
  end loop;
  if exists (select from spend_days where day < spend_day(v_now) - 1 and backend <> 0) then
    with gone as (delete from spend_days where day < spend_day(v_now) - 1 and backend <> 0 returning *)
    insert into spend_days as s (tenant_id, day, kind, instance_id, backend, usd, calls, unpriced, units)
      select tenant_id, day, kind, instance_id, 0, sum(usd), sum(calls), sum(unpriced), sum(units) from gone
        group by 1, 2, 3, 4
      on conflict (tenant_id, day, kind, instance_id, backend) do update set usd = s.usd + excluded.usd,
        calls = s.calls + excluded.calls, unpriced = s.unpriced + excluded.unpriced, units = s.units + excluded.units;
  end if;
  return jsonb_build_object('settled', v_count);
end $function$;
revoke all on function public.tend_spend(timestamp with time zone) from public;
grant execute on function public.tend_spend(timestamp with time zone) to service_role;
grant execute on function public.tend_spend(timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.timeline(p_tenant text, p_conversation bigint, p_limit integer, p_message bigint DEFAULT NULL::bigint)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  with start as (
    select min(x.created_at) as at, min(x.created_at) filter (where x.id = p_message) as own
    from messages m join messages x on x.id = m.id or (m.direction = 'out' and x.turn_id = m.turn_id)
      where m.id = p_message)
  select jsonb_build_object(
    'conversation', jsonb_build_object('id', c.id, 'contact_id', c.contact_id, 'instance', i.name, 'controlled_by',
      c.controlled_by, 'escalation_reason', c.escalation_reason,
      'takeover_until', c.takeover_until, 'paused', pause_reason(c.tenant_id, i.name, c.id, null), 'merged_into',
        c.merged_into, 'silenced_by', silenced_by(c, now()), 'quiet_until', case when c.quiet_until > now()
          then c.quiet_until end,
      'opted_out', exists (select from standing_opt_out(c.contact_id)), 'put_off', case when c.deferred_reason
        in ('replies_wait', 'answer_withdrawn') then c.deferred_reason end),
    'entries', (select coalesce(jsonb_agg(e.entry order by e.at, e.rank, e.id), '[]') from (
      select * from (
        select m.created_at as at, case m.direction when 'in' then 0 else 4 end as rank, m.id,
          jsonb_build_object('at', m.created_at, 'what', 'message', 'id', m.id,
            'direction', m.direction, 'author', m.author, 'type', m.type, 'status', m.status, 'reason', m.reason,
              'text', m.text, 'turn_id', m.turn_id,
            'provider_message_id', m.provider_id, 'provider_at', m.provider_at, 'kind', m.kind, 'part', m.part,
              'attempts', m.attempts,
            'goes_at', promised_at(m), 'claimed_at', m.claimed_at, 'delivered_at', m.delivered_at, 'read_at', m.read_at,
            'edited_at', m.edited_at, 'deleted_at', m.deleted_at, 'correlation_id', m.correlation_id,
            'media', case when m.media ? 'read' then jsonb_build_object('read', m.media ->> 'read', 'why',
              m.media ->> 'why', 'next_at', (select next_at from media_waits w where w.message_id = m.id)) end)
            as entry
          from messages m where m.conversation_id = c.id
        union all
        select t.started_at, 1, t.id, jsonb_build_object('at', t.started_at, 'what', 'turn', 'id', t.id, 'status',
          t.status, 'reason', t.reason, 'model', t.model, 'worker', t.worker,
            'agent', (select a.name from agents a where a.id = t.agent_id), 'agent_version', (select a.version
              from agents a where a.id = t.agent_id), 'prompt_hash', t.prompt_hash,
            'verdict', t.verdict, 'route', t.route,
            'input_tokens', t.input_tokens, 'output_tokens', t.output_tokens, 'thinking_tokens', t.thinking_tokens,
              'cache_read_tokens', t.cache_read_tokens,
            'cache_write_tokens', t.cache_write_tokens, 'cost_usd', t.cost_usd, 'unpriced_calls', t.unpriced_calls,
              'ended_at', t.ended_at, 'sources', sources_of(t.transcript),
            'correlation_id', t.correlation_id)
          from turns t where t.conversation_id = c.id
        union all
        select k.created_at, 2, k.id, jsonb_build_object('at', k.created_at, 'what', 'model_call', 'id', k.id,
          'turn_id', k.turn_id, 'model', k.model, 'outcome', k.outcome, 'ms', k.ms,
            'input_tokens', k.input_tokens, 'output_tokens', k.output_tokens, 'thinking_tokens', k.thinking_tokens,
              'cache_read_tokens', k.cache_read_tokens,
            'cache_write_tokens', k.cache_write_tokens, 'cost_usd', k.cost_usd, 'estimated', k.estimated, 'detail',
              k.detail, 'cache_miss', k.cache_miss)
          from model_calls k join turns t on t.id = k.turn_id where t.conversation_id = c.id
        union all
        -- what a file shows is asked once, for all who send it
        select k.created_at, 2, k.id, jsonb_build_object('at', k.created_at, 'what', 'media_call', 'id', k.id,
          'message_id', m.id, 'model', k.model, 'outcome', k.outcome, 'ms', k.ms, 'input_tokens', k.input_tokens,
          'output_tokens', k.output_tokens, 'thinking_tokens', k.thinking_tokens, 'cache_read_tokens',
          k.cache_read_tokens, 'cache_write_tokens', k.cache_write_tokens, 'cost_usd', k.cost_usd, 'estimated',
          k.estimated, 'detail', k.detail)
          from messages m join media d on d.tenant_id = m.tenant_id and d.sha256 = m.media ->> 'sha256'
            join model_calls k on k.media_id = d.id
          where m.conversation_id = c.id and m.media ? 'sha256' and k.created_at >= m.created_at
        union all
        select k.created_at, 3, k.id, jsonb_build_object('at', k.created_at, 'what', 'tool_call', 'id', k.id, 'turn_id',
          k.turn_id, 'name', k.name, 'input', k.input, 'output', k.output, 'ok', k.ok, 'ms', k.ms,
          'cost_usd', k.cost_usd)
          from tool_calls k where k.conversation_id = c.id
        union all
        select w.created_at, 4, w.id, jsonb_build_object('at', w.created_at, 'what', 'tool_write', 'id', w.id,
          'turn_id', w.turn_id, 'name', w.definition ->> 'name', 'input', w.input, 'status', w.status, 'reason',
          w.reason, 'risks', w.risks, 'answer', w.answer, 'sent_at', w.sent_at, 'ended_at', w.ended_at,
          'approval_id', a.id, 'decided', a.status, 'decided_by', a.decided_by, 'decided_at', a.decided_at)
          from tool_writes w left join approvals a on a.write_id = w.id where w.conversation_id = c.id
        union all
        select h.created_at, 5, h.id, jsonb_build_object('at', h.created_at, 'what', 'handoff', 'id', h.id, 'turn_id',
          h.turn_id, 'reason', h.reason, 'summary', h.summary, 'controls', h.controls, 'status', h.status,
            'notified_at', h.notified_at, 'reminded_at', h.reminded_at, 'taken_at', h.taken_at, 'returned_at',
              h.returned_at, 'returned_by', h.returned_by)
          from handoffs h where h.conversation_id = c.id
        union all
        select o.created_at, 6, o.id, jsonb_build_object('at', o.created_at, 'what', 'opt_out', 'id', o.id, 'source',
          o.source, 'revoked_at', o.revoked_at)
          from opt_outs o where o.contact_id = c.contact_id
        union all
        -- the one that brought the message, repeats, acks
        select w.received_at, 1, w.id, jsonb_build_object('at', w.received_at, 'what', 'webhook', 'id', w.id, 'event',
          w.event, 'outcome', r ->> 'outcome', 'message_id', p_message)
          from start, webhook_events w cross join jsonb_array_elements(w.results) r
          where w.received_at between start.own - interval '1 minute' and start.own + interval '30 minutes'
            and r ->> 'message_id' = p_message::text
      ) entries where p_message is null or at >= (select start.at - interval '1 second' from start)
      order by case when p_message is null then at end desc, case when p_message is not null then at end, rank desc,
        id desc limit p_limit) e))
  from conversations c join instances i on i.id = c.instance_id where c.id = p_conversation and c.tenant_id = p_tenant
$function$;
revoke all on function public.timeline(text,bigint,integer,bigint) from public;
grant execute on function public.timeline(text,bigint,integer,bigint) to service_role;
grant execute on function public.timeline(text,bigint,integer,bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.too_many_files(p_message public.messages, p_pages integer)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select count(*) >= 60 or coalesce(sum(coalesce((m.media ->> 'paid')::int, (not m.media ? 'sha256')::int)), 0)
    + p_pages > 300
  from conversations h join conversations c on c.contact_id = h.contact_id join messages m on m.conversation_id = c.id
  where h.id = p_message.conversation_id and (m.media ? 'sha256' or m.media ->> 'why' in ('media_broken',
      'media_locked', 'media_too_long', 'media_too_large', 'media_unknown_kind', 'media_no_audio'))
    and m.id <> p_message.id
    and m.created_at > p_message.created_at - interval '1 day'
$function$;
revoke all on function public.too_many_files(public.messages,integer) from public;
grant execute on function public.too_many_files(public.messages,integer) to service_role;
grant execute on function public.too_many_files(public.messages,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.touch_updated_at()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  new.updated_at := now();
  return new;
end $function$;
revoke all on function public.touch_updated_at() from public;
grant execute on function public.touch_updated_at() to service_role;
grant execute on function public.touch_updated_at() to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.tried_name(p_name text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$ select 'hash:' || left(encode(sha256(convert_to(p_name, 'UTF8')), 'hex'), 12) $function$;
revoke all on function public.tried_name(text) from public;
grant execute on function public.tried_name(text) to service_role;
grant execute on function public.tried_name(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.trust_now(p_instance public.instances, p_now timestamp with time zone)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select greatest(0, least(100,
    floor(p_instance.trust + 5 * extract(epoch from greatest(interval '0', p_now - p_instance.trust_at)) / 3600)))::int
$function$;
revoke all on function public.trust_now(public.instances,timestamp with time zone) from public;
grant execute on function public.trust_now(public.instances,timestamp with time zone) to service_role;
grant execute on function public.trust_now(public.instances,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.turn_address(p_conversation public.conversations, p_sent_to text, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_jid text; v_refused bigint := address_row(p_conversation.contact_id, p_sent_to);
begin
  if p_conversation.jid <> p_sent_to then return not address_refused(p_conversation.contact_id, p_conversation.jid,
    p_now); end if;
  select coalesce(a.written, a.address) || case a.kind when 'pn' then '@s.whatsapp.net' else '@lid' end into v_jid
    from contact_addresses a
    where a.contact_id = p_conversation.contact_id and (a.kind = 'pn' or a.instance_id = p_conversation.instance_id)
      and a.id is distinct from v_refused
      and (a.refused_at is null or a.refused_at <= p_now - interval '7 days')
    order by a.delivered_at desc nulls last, a.kind = 'pn' desc, a.id desc limit 1;
  if v_jid is null then return false; end if;
  update conversations set jid = v_jid where id = p_conversation.id;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_conversation.tenant_id, 'runtime', 'address.turned', p_conversation.id::text,
      jsonb_build_object('from_kind', split_part(p_sent_to, '@', 2), 'to_kind', split_part(v_jid, '@', 2)), p_now);
  return true;
end $function$;
revoke all on function public.turn_address(public.conversations,text,timestamp with time zone) from public;
grant execute on function public.turn_address(public.conversations,text,timestamp with time zone) to service_role;
grant execute on function public.turn_address(public.conversations,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.turn_in_the_way(p_conversation bigint, p_lease_ms integer, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_open turns;
begin
  if exists (select from inbox i where i.conversation_id = p_conversation and i.command) then
    return claim_command(p_conversation, p_lease_ms, p_now);
  end if;
  select * into v_open from turns where conversation_id = p_conversation and status = 'open';
  if v_open.lease_until > p_now then
    return jsonb_build_object('state', 'busy', 'until', v_open.lease_until, 'wait_ms',
      in_ms(v_open.lease_until, p_now));
  end if;
  perform expire_turn(v_open, p_now);
  return null;
end $function$;
revoke all on function public.turn_in_the_way(bigint,integer,timestamp with time zone) from public;
grant execute on function public.turn_in_the_way(bigint,integer,timestamp with time zone) to service_role;
grant execute on function public.turn_in_the_way(bigint,integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.turn_tools(p_tenant text, p_conversation bigint, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_build_object(
    'tools', (select coalesce(jsonb_agg(jsonb_build_object('id', t.id, 'name', t.name, 'class', t.class,
        'definition', t.definition, 'version', t.version) order by t.name), '[]')
      from http_tools t where t.tenant_id = p_tenant and t.removed_at is null),
    'found', (select coalesce(jsonb_agg(distinct jsonb_build_object('tool', c.name, 'field', f.key, 'value', v)), '[]')
      from tool_calls c cross join lateral jsonb_each(c.found) f cross join lateral
        jsonb_array_elements_text(f.value) v
      where c.conversation_id = p_conversation and c.ok and c.found is not null
        and c.created_at > clock(p_now) - interval '1 day'),
    'done', exists (select from tool_writes w where w.conversation_id = p_conversation and w.status = 'done'
      and w.ended_at > clock(p_now) - interval '1 day'),
    'open', (select coalesce(jsonb_agg(jsonb_build_object('tool_id', w.tool_id, 'input', w.input)), '[]')
      from tool_writes w where w.conversation_id = p_conversation and (w.status in ('waiting', 'queued', 'sending')
        or (w.status in ('uncertain', 'done') and w.ended_at > clock(p_now) - interval '1 hour'))))
$function$;
revoke all on function public.turn_tools(text,bigint,timestamp with time zone) from public;
grant execute on function public.turn_tools(text,bigint,timestamp with time zone) to service_role;
grant execute on function public.turn_tools(text,bigint,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.turn_writes(p_turn bigint)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('id', w.id, 'status', w.status, 'approval', a.id) order by w.id), '[]')
    from tool_writes w left join approvals a on a.write_id = w.id where w.turn_id = p_turn
$function$;
revoke all on function public.turn_writes(bigint) from public;
grant execute on function public.turn_writes(bigint) to service_role;
grant execute on function public.turn_writes(bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.unanswered(p_contact bigint, p_most integer)
 RETURNS integer
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_since timestamptz; v_count int;
begin
  select max(last_inbound_at) into v_since from conversations where contact_id = p_contact;
  select count(*) into v_count from (
    select from conversations c join slots s on s.conversation_id = c.id
      where c.contact_id = p_contact and not s.reply and s.slot_at > coalesce(v_since, '-infinity')
        and s.kind not in ('manual', 'operator', 'transactional')
    union all
    select from conversations c join on_wire w on w.conversation_id = c.id
      where c.contact_id = p_contact and is_proactive(w.kind) and w.slot_at > coalesce(v_since, '-infinity')
        and w.kind not in ('manual', 'operator', 'transactional')
    limit p_most) u;
  return v_count;
end $function$;
revoke all on function public.unanswered(bigint,integer) from public;
grant execute on function public.unanswered(bigint,integer) to service_role;
grant execute on function public.unanswered(bigint,integer) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.undo_takeover(p_conversation bigint, p_at timestamp with time zone, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_conversation conversations; v_turns bigint[];
begin
  select * into v_conversation from conversations where id = p_conversation for no key update;
  update handoffs set taken_at = null where conversation_id = v_conversation.id and status <> 'returned'
    and taken_at = p_at;
  if v_conversation.takeover_since is null
    or exists (select from messages h where h.conversation_id = v_conversation.id and h.author = 'human'
    and h.type <> 'reaction' and h.created_at >= least(p_at, v_conversation.takeover_since)) then
    return false;
  end if;
  update conversations set takeover_since = null, takeover_until = null where id = v_conversation.id;
  update messages m set status = 'received', reason = null from turns t
    where m.conversation_id = v_conversation.id and m.direction = 'in' and m.status = 'handed_over'
      and m.reason = 'takeover'
      and t.id = m.turn_id and t.ended_at >= least(p_at, v_conversation.takeover_since);
  -- an answer of which nothing left
  with gone as (select distinct m.turn_id from messages m where m.conversation_id = v_conversation.id
    and m.direction = 'out'
    and m.status = 'cancelled' and m.reason = 'takeover'
    and m.created_at > least(p_at, v_conversation.takeover_since) - interval '10 minutes')
  select array_agg(turn_id) into v_turns from gone;
  update messages i set status = 'received', reason = null where i.turn_id = any (v_turns) and i.direction = 'in'
    and i.status = 'answered'
    and not exists (select from messages o where o.turn_id = i.turn_id and o.direction = 'out'
      and o.status <> 'cancelled');
  update conversations set inbound_seq = inbound_seq + 1 where id = v_conversation.id;
  return first_pending(v_conversation.id) is not null;
end $function$;
revoke all on function public.undo_takeover(bigint,timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.undo_takeover(bigint,timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.undo_takeover(bigint,timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.unheard_conversations(p_tenant text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS bigint
 LANGUAGE sql
 STABLE
AS $function$
  select count(*) from (
    select h.conversation_id from handoffs h
    where h.status <> 'returned' and h.taken_at is null and h.tenant_id = coalesce(p_tenant, h.tenant_id)
      and exists (select from notices n
      where n.tenant_id = h.tenant_id and n.status = 'failed'
        and (n.key in ('handoff-' || h.id || '-told', 'handoff-' || h.id || '-reminded')
        or (n.key like 'handoffs-' || h.reason || '-%' and n.created_at between h.notified_at - interval '1 minute'
          and h.notified_at)))
      and not exists (select from notices n
        where n.tenant_id = h.tenant_id and n.key in ('handoff-' || h.id || '-told', 'handoff-' || h.id || '-reminded')
        and n.status <> 'failed')
    union
    select c.id from notices n join conversations c on c.id = case n.kind when 'forward'
      then split_part(n.key, '-', 2)::bigint end
    where n.kind = 'forward' and n.status = 'failed' and n.created_at > clock(p_now) - interval '1 day'
      and n.tenant_id = coalesce(p_tenant, n.tenant_id)
      and waits_for_person(c)) u
$function$;
revoke all on function public.unheard_conversations(text,timestamp with time zone) from public;
grant execute on function public.unheard_conversations(text,timestamp with time zone) to service_role;
grant execute on function public.unheard_conversations(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.unlearn_lids(p_tenant text, p_name text, p_since timestamp with time zone, p_actor text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_instance instances;
  v_lid contact_addresses;
  v_phone text;
  v_lids int := 0;
begin
  select * into v_instance from instances where name = p_name and tenant_id = p_tenant;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  perform 1 from contacts where id in (select contact_id from contact_addresses
    where instance_id = v_instance.id and kind = 'lid') order by id for no key update;
  for v_lid in select * from contact_addresses where instance_id = v_instance.id and kind = 'lid'
    and created_at >= coalesce(p_since, '-infinity') order by contact_id, id loop
    select coalesce(written, address) || '@s.whatsapp.net' into v_phone from contact_addresses
      where contact_id = v_lid.contact_id and kind = 'pn' order by delivered_at desc nulls last, id desc limit 1;
    continue when not found;
    insert into opt_outs (tenant_id, address_hash, source, said_on, created_at)
      select tenant_id, address_hash('lid', v_instance.id, v_lid.address), source, said_on, created_at from opt_outs
      where contact_id = v_lid.contact_id and revoked_at is null
      on conflict do nothing;
    with talk as (update conversations set jid = v_phone where contact_id = v_lid.contact_id
      and instance_id = v_instance.id and merged_into is null and jid = v_lid.address || '@lid' returning id)
    update messages m set status = 'cancelled', reason = 'address_unlearned' from talk
      where m.conversation_id = talk.id and m.direction = 'out' and m.status in ('queued', 'draft');
    delete from contact_addresses where id = v_lid.id;
    v_lids := v_lids + 1;
  end loop;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'instance.unlearn', p_name, jsonb_build_object('lids', v_lids, 'since', p_since),
      clock(p_now));
  return jsonb_build_object('outcome', 'unlearned', 'lids', v_lids);
end $function$;
revoke all on function public.unlearn_lids(text,text,timestamp with time zone,text,timestamp with time zone) from public;
grant execute on function public.unlearn_lids(text,text,timestamp with time zone,text,timestamp with time zone) to service_role;
grant execute on function public.unlearn_lids(text,text,timestamp with time zone,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.unmerge_contact(p_tenant text, p_actor text, p_kept bigint, p_merged bigint DEFAULT NULL::bigint, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_merge contact_merges;
  v_later bigint;
  v_drop bigint;
  v_moved jsonb;
  v_shift bigint;
  v_last bigint;
  v_into bigint;
  v_from bigint;
begin
  select * into v_merge from contact_merges where tenant_id = p_tenant and kept = p_kept and undone_at is null
    and (p_merged is null or merged = p_merged)
    order by id desc limit 1 for update;
  if not found then return jsonb_build_object('outcome', 'no_merge'); end if;
  v_drop := v_merge.merged;
  perform 1 from contacts where id in (p_kept, v_drop) order by id for update;
  if exists (select from contacts where id = p_kept and merged_into is not null)
    then return jsonb_build_object('outcome', 'no_merge'); end if;
  select merged into v_later from contact_merges where kept = p_kept and undone_at is null and id > v_merge.id
    order by id desc limit 1;
  if found then return jsonb_build_object('outcome', 'later_merge', 'merged', v_later); end if;

  update contacts set merged_into = null where id = v_drop;
  update contacts set name = v_merge.moved -> 'before' ->> 'name' where id = p_kept;
  update contact_facts set contact_id = v_drop
    where contact_id = p_kept and id in (select jsonb_array_elements_text(v_merge.moved -> 'facts')::bigint);
  update contact_facts f set replaced_at = null
    where f.id in (select jsonb_array_elements_text(v_merge.moved -> 'facts_closed')::bigint)
      and not exists (select from contact_facts o where o.contact_id = f.contact_id and o.kind = f.kind
        and o.about = f.about and o.replaced_at is null);
  -- a wait that somebody has set since stays
  update contacts kept set
    cooling_until = case when kept.cooling_until is not distinct from greatest(old.cooling_until, brought.cooling_until)
      then old.cooling_until else kept.cooling_until end,
    next_allowed_at = case when kept.next_allowed_at is not distinct from
      greatest(old.next_allowed_at, brought.next_allowed_at) then old.next_allowed_at else kept.next_allowed_at end
    from contacts brought, jsonb_populate_record(null::contacts, v_merge.moved -> 'before') old
    where kept.id = p_kept and brought.id = v_drop;
  update contact_addresses set contact_id = v_drop
    where contact_id = p_kept and id in (select jsonb_array_elements_text(v_merge.moved -> 'addresses')::bigint);
  update opt_outs set contact_id = v_drop
    where contact_id = p_kept and id in (select jsonb_array_elements_text(v_merge.moved -> 'opt_outs')::bigint);
  update opt_outs set revoked_at = null
    where contact_id = v_drop and id in (select jsonb_array_elements_text(v_merge.moved -> 'opt_outs_revoked')::bigint)
    and not exists (select from opt_outs o where o.contact_id = v_drop and o.revoked_at is null);
  for v_moved in select * from jsonb_array_elements(v_merge.moved -> 'conversations') loop
    v_from := (v_moved ->> 'from')::bigint;
    if v_moved ->> 'into' is null then
      update turns set status = 'superseded', reason = 'contact_unmerged', ended_at = clock_timestamp()
        where conversation_id = v_from and status = 'open';
      update conversations set contact_id = v_drop where id = v_from;
      continue;
    end if;
    v_into := (v_moved ->> 'into')::bigint;
    v_shift := (v_moved ->> 'shift')::bigint;
    v_last := (v_moved ->> 'last_seq')::bigint;
    perform 1 from conversations where id in (v_from, v_into) order by id for update;
    update turns set status = 'superseded', reason = 'contact_unmerged', ended_at = clock_timestamp()
      where conversation_id = v_into and status = 'open';
    update messages set conversation_id = v_from, seq = seq - v_shift where conversation_id = v_into and seq > v_shift
      and seq <= v_shift + v_last;
    update messages m set provider_id = d.provider_id
      from jsonb_to_recordset(v_moved -> 'ids') d (id bigint, provider_id text)
      where m.id = d.id and m.conversation_id = v_from and m.provider_id is null;
    update conversations set merged_into = null, last_seq = v_last where id = v_from;
    delete from summaries where conversation_id = v_into and through_seq > v_shift;
    update conversations c set jid = b.jid, last_inbound_at = (select max(m.provider_at) from messages m
      where m.conversation_id = c.id and m.direction = 'in' and m.type <> 'reaction'),
        takeover_since = case when c.takeover_until is distinct from (v_moved ->> 'takeover_until')::timestamptz
          then c.takeover_since else b.takeover_since end,
        takeover_until = case when c.takeover_until is distinct from (v_moved ->> 'takeover_until')::timestamptz
          then c.takeover_until else b.takeover_until end,
        controlled_by = case when c.controlled_by = v_moved ->> 'controlled_by' then b.controlled_by
          else c.controlled_by end,
        escalation_reason = case when c.controlled_by = v_moved ->> 'controlled_by' then b.escalation_reason
          else c.escalation_reason end,
        mode = case when c.mode = v_moved ->> 'mode' then b.mode else c.mode end,
        inbound_seq = c.inbound_seq + 1
      from jsonb_populate_record(null::conversations, v_moved -> 'before') b where c.id = v_into;
    update handoffs set conversation_id = v_from
      where conversation_id = v_into and id in (select jsonb_array_elements_text(v_moved -> 'handoffs')::bigint);
    update handoffs h set status = d.status, returned_at = null
      from jsonb_to_recordset(v_moved -> 'doubled') d (id bigint, status text)
      where h.id = d.id and h.conversation_id = v_from and h.status = 'returned';
    update turns set conversation_id = v_from
      where conversation_id = v_into and id in (select jsonb_array_elements_text(v_moved -> 'turns')::bigint);
    update tool_calls set conversation_id = v_from
      where conversation_id = v_into and turn_id in (select jsonb_array_elements_text(v_moved -> 'turns')::bigint);
    with back as (update tool_writes set conversation_id = v_from where conversation_id = v_into
        and turn_id in (select jsonb_array_elements_text(v_moved -> 'turns')::bigint) returning id)
      update approvals a set conversation_id = v_from from back where a.write_id = back.id;
    -- a pause that came over from the other one goes back with it
    if v_moved ->> 'pause' is not null and (select j.id from julia_status j
      where j.scope = 'conversation' and j.target = v_into::text order by j.id desc
      limit 1) = (v_moved ->> 'pause')::bigint then
      insert into julia_status (tenant_id, status, motivo, alterado_via, scope, target)
        values (p_tenant, coalesce(v_moved ->> 'paused_before', 'ativo'), null, 'contact.unmerge', 'conversation',
        v_into::text);
    end if;
  end loop;
  update contact_merges set undone_at = clock(p_now) where id = v_merge.id;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'contact.unmerge', p_kept::text, jsonb_build_object('merged', v_drop), clock(p_now));
  return jsonb_build_object('outcome', 'unmerged', 'merged', v_drop);
end $function$;
revoke all on function public.unmerge_contact(text,text,bigint,bigint,timestamp with time zone) from public;
grant execute on function public.unmerge_contact(text,text,bigint,bigint,timestamp with time zone) to service_role;
grant execute on function public.unmerge_contact(text,text,bigint,bigint,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.unproven_count()
 RETURNS bigint
 LANGUAGE sql
 STABLE
AS $function$ select count(*) from dead_sends where status = 'unproven' $function$;
revoke all on function public.unproven_count() from public;
grant execute on function public.unproven_count() to service_role;
grant execute on function public.unproven_count() to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.unread_media(p_conversation bigint, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select jsonb_agg(media_item(u.m, u.attempts) order by (u.m).provider_at, (u.m).seq)
  from (select m, coalesce(w.attempts, 0) as attempts from conversations c
      join messages m on m.conversation_id = c.id left join media_waits w on w.message_id = m.id
    where c.id = p_conversation and m.type in ('audio', 'image', 'document', 'video')
    and (c.deferred_since is not null or (select count(*) from (select from inbox x where x.conversation_id = c.id
      limit 30) b) < 30)
    and m.id = any (array(select x.message_id from inbox x where x.conversation_id = p_conversation)
      || array(select d.message_id from media_waits d where d.conversation_id = p_conversation))
    and case when w.next_at <= p_now then m.media ->> 'read' in ('failed', 'later')
      when m.status <> 'received' or coalesce(m.media ->> 'read', 'later') <> 'later' then false
      when m.type = 'audio' then m.typed is null
      else coalesce(silenced_by(c, p_now), 'observe') = 'observe' and coalesce(c.quiet_until <= p_now, true) end
    order by w.message_id is not null, m.provider_at, m.seq limit 100) u
$function$;
revoke all on function public.unread_media(bigint,timestamp with time zone) from public;
grant execute on function public.unread_media(bigint,timestamp with time zone) to service_role;
grant execute on function public.unread_media(bigint,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.use_session(p_session text, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v sessions; v_user users; v_now timestamptz := clock(p_now);
begin
  select * into v from sessions where hash = p_session;
  if not found or not session_counts(v, v_now) then return null; end if;
  select * into v_user from users where id = v.user_id and disabled_at is null;
  if not found then return null; end if;
  if v.used_at < v_now - interval '5 minutes' then update sessions set used_at = v_now where hash = v.hash; end if;
  return jsonb_build_object('user_id', v_user.id, 'email', v_user.email, 'role', v_user.role, 'tenant',
    v_user.tenant_id, 'must_change', (select temporary from user_passwords where user_id = v_user.id order by id desc
    limit 1));
end $function$;
revoke all on function public.use_session(text,timestamp with time zone) from public;
grant execute on function public.use_session(text,timestamp with time zone) to service_role;
grant execute on function public.use_session(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.use_token(p_token jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v tokens; v_now timestamptz := clock(p_now);
begin
  select * into v from tokens where id = p_token ->> 'id';
  if not found then
    -- who belongs to no tenant has nothing, and finds nothing
    if not exists (select from tenants where id = p_token ->> 'tenant')
      then return jsonb_build_object('outcome', 'valid'); end if;
    insert into tokens (id, tenant_id, sub, role, expires_at, used_at, created_at)
      values (p_token ->> 'id', p_token ->> 'tenant', p_token ->> 'sub', p_token ->> 'role',
        (p_token ->> 'expires_at')::timestamptz, v_now, v_now) on conflict (id) do nothing;
    -- somebody else used it at this moment, or revoked it
    select * into v from tokens where id = p_token ->> 'id';
  end if;
  if v.revoked_at is not null then return jsonb_build_object('outcome', 'revoked'); end if;
  if v.used_at is null or v.used_at < v_now - interval '1 hour' then update tokens set used_at = v_now where id = v.id;
  end if;
  return jsonb_build_object('outcome', 'valid');
end $function$;
revoke all on function public.use_token(jsonb,timestamp with time zone) from public;
grant execute on function public.use_token(jsonb,timestamp with time zone) to service_role;
grant execute on function public.use_token(jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.utc_text(p_at timestamp with time zone)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$ select to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $function$;
revoke all on function public.utc_text(timestamp with time zone) from public;
grant execute on function public.utc_text(timestamp with time zone) to service_role;
grant execute on function public.utc_text(timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.wait_for_room(p_ids bigint[], p_cap integer, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare v_held jsonb := '{}'; v_conversation conversations; v_until timestamptz; v_reason text;
begin
  for v_conversation in select c.* from conversations c where c.id = any (p_ids) order by c.id loop
    continue when not exists (select from inbox x where x.conversation_id = v_conversation.id)
      or silenced_by(v_conversation, p_now) is not null;
    v_until := room_at(v_conversation, p_cap, p_now);
    continue when v_until is null;
    v_reason := case when v_conversation.deferred_reason = 'answer_withdrawn' then 'answer_withdrawn'
      else 'replies_wait' end;
    update conversations set deferred_since = coalesce(deferred_since, p_now), deferred_until = v_until,
      deferred_reason = v_reason where id = v_conversation.id;
    v_held := v_held || jsonb_build_object(v_conversation.id, jsonb_build_object('conversation_id', v_conversation.id,
      'state', 'deferred', 'reason', v_reason, 'wait_ms', in_ms(v_until, p_now)));
  end loop;
  if v_held <> '{}' then
    perform add_notice(jsonb_build_object('tenant', i.tenant_id, 'key', 'replies-wait-' || i.id || '-'
        || to_char(p_now at time zone 'UTC', 'YYYY-MM-DD'), 'kind', 'alert', 'urgent', false, 'about', i.name, 'text',
        'No número ' || i.name || ' há tantas respostas à espera quanto o limite dele deixa sair em breve (MAX_RESPOSTAS_POR_HORA). Quem escreve agora espera, e o modelo só é chamado quando houver vaga. Veja se são clientes ou um ataque.'), p_now)
      from instances i where i.id in (select instance_id from conversations
        where v_held ? id::text and id = any (p_ids)) and i.status not in ('close', 'connecting', 'refused');
  end if;
  return v_held;
end $function$;
revoke all on function public.wait_for_room(bigint[],integer,timestamp with time zone) from public;
grant execute on function public.wait_for_room(bigint[],integer,timestamp with time zone) to service_role;
grant execute on function public.wait_for_room(bigint[],integer,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.waits(p_rule text, p_until timestamp with time zone, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$ select case when p_until > p_now then jsonb_build_object('rule', p_rule, 'until', p_until) end $function$;
revoke all on function public.waits(text,timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.waits(text,timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.waits(text,timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.waits_for_person(v public.conversations)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select v.mode = 'manual' and exists (select from messages m where m.conversation_id = v.id and m.seq = v.last_seq
    and m.direction = 'in' and m.status = 'handed_over')
$function$;
revoke all on function public.waits_for_person(public.conversations) from public;
grant execute on function public.waits_for_person(public.conversations) to service_role;
grant execute on function public.waits_for_person(public.conversations) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.waits_long(p_reason text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$ select p_reason is not null and p_reason <> 'typing' and p_reason not like 'paused\_%' $function$;
revoke all on function public.waits_long(text) from public;
grant execute on function public.waits_long(text) to service_role;
grant execute on function public.waits_long(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.warming_caps(p_phase text, p_since timestamp with time zone, p_now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select case when p_phase <> 'warming' or d.days >= 100 then null
    when d.days >= 21 then jsonb_build_object('hour', 20 * 2 ^ ((d.days - 21) / 7), 'day',
      100 * 2 ^ ((d.days - 21) / 7))
    else (array['{"hour": 2, "day": 5, "strangers": 3}', '{"hour": 3, "day": 10, "strangers": 5}',
      '{"hour": 5, "day": 20, "strangers": 10}', '{"hour": 7, "day": 30, "strangers": 15}',
      '{"hour": 10, "day": 45, "strangers": 20}', '{"hour": 14, "day": 65, "strangers": 30}',
        '{"hour": 17, "day": 80, "strangers": 40}']::jsonb[])[d.days / 3 + 1]
      || '{"reply_percent": 10}' end
  from (select greatest(0, floor(extract(epoch from p_now - p_since) / 86400))::int as days) d
$function$;
revoke all on function public.warming_caps(text,timestamp with time zone,timestamp with time zone) from public;
grant execute on function public.warming_caps(text,timestamp with time zone,timestamp with time zone) to service_role;
grant execute on function public.warming_caps(text,timestamp with time zone,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.was_said(p_status text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$ select p_status in ('sending', 'sent', 'delivered', 'read', 'uncertain', 'unproven') $function$;
revoke all on function public.was_said(text) from public;
grant execute on function public.was_said(text) to service_role;
grant execute on function public.was_said(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.webhook_refusal(p_instance public.instances, p_name text, p_provider_id text, p_from jsonb, p_only text, p_now timestamp with time zone)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  v_refusal text := case
    when p_from ->> 'instance' <> p_name then 'secret_of_another'
    when p_instance.id is null then 'nobodys_number'
    when not speaks_for(p_from, p_instance, p_now) then 'secret_of_another'
    when p_name <> p_only then 'only_one_number' end;
begin
  if v_refusal is not null or p_from ? 'ourselves' then return v_refusal; end if;
  if p_provider_id <> p_instance.provider_id then return 'foreign_uuid'; end if;
  -- a number's own secret says whose it is, and what another number's own secret said of a uuid hinders nobody;
  -- asked for null, Postgres would plan it anew each time
  if p_instance.provider_id is null and p_provider_id is not null and not coalesce(p_from ? 'instance', false) then
    if exists (select from instances o where o.provider_id = p_provider_id and o.id <> p_instance.id
      and o.webhook_secret is null) then
      return 'foreign_uuid';
    end if;
  end if;
  return null;
end $function$;
revoke all on function public.webhook_refusal(public.instances,text,text,jsonb,text,timestamp with time zone) from public;
grant execute on function public.webhook_refusal(public.instances,text,text,jsonb,text,timestamp with time zone) to service_role;
grant execute on function public.webhook_refusal(public.instances,text,text,jsonb,text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.webhooks_of(p_tenant text)
 RETURNS SETOF public.webhook_events
 LANGUAGE sql
 STABLE
AS $function$
  select w.* from webhook_events w where w.tenant_id = p_tenant or w.aside_id in (select a.id
    from set_aside a join instances i on i.name = a.name where i.tenant_id = p_tenant)
$function$;
revoke all on function public.webhooks_of(text) from public;
grant execute on function public.webhooks_of(text) to service_role;
grant execute on function public.webhooks_of(text) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.with_people(p_tenant text, p_now timestamp with time zone)
 RETURNS bigint[]
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select array(select c.id from (
      select h.conversation_id as id, min(h.created_at) filter (where h.taken_at is null) as since from handoffs h
        where h.status <> 'returned' and h.tenant_id = p_tenant group by 1
      union all select f.conversation_id, null from drafts f where f.tenant_id = p_tenant
      union all select p.id, null from conversations p where p.tenant_id = p_tenant and (p.controlled_by = 'human'
        or p.mode <> 'auto' or p.takeover_until is not null or p.quiet_until is not null)
        and (conversation_holder(p, p_now) in ('human', 'takeover') or waits_for_person(p))) w
    join conversations c on c.id = w.id where c.merged_into is null
    group by c.id order by min(w.since) nulls last, c.id limit 200)
$function$;
revoke all on function public.with_people(text,timestamp with time zone) from public;
grant execute on function public.with_people(text,timestamp with time zone) to service_role;
grant execute on function public.with_people(text,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.withdraw_documents(p_tenant text, p_folder text, p_present jsonb, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_gone bigint[]; v_withdrawn int;
begin
  perform pg_advisory_xact_lock(hashtextextended('directives/' || p_tenant, 7));
  with gone as (update documents set status = 'deleted', synced_at = clock(p_now) where tenant_id = p_tenant
    and folder = p_folder and status = 'current' and not p_present ? external_id returning id)
    select coalesce(array_agg(id), '{}') into v_gone from gone;
  update directives set status = 'withdrawn', decided_by = 'google', decided_at = clock(p_now)
    where document_id = any (v_gone) and status in ('proposed', 'active');
  get diagnostics v_withdrawn = row_count;
  if v_gone <> '{}' then
    perform record_audit(p_tenant, 'google', 'document.deleted', p_folder,
      jsonb_build_object('documents', to_jsonb(v_gone), 'withdrawn', v_withdrawn));
  end if;
  return jsonb_build_object('documents', cardinality(v_gone), 'withdrawn', v_withdrawn);
end $function$;
revoke all on function public.withdraw_documents(text,text,jsonb,timestamp with time zone) from public;
grant execute on function public.withdraw_documents(text,text,jsonb,timestamp with time zone) to service_role;
grant execute on function public.withdraw_documents(text,text,jsonb,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.withdraw_drafts(p_conversation bigint)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_turns bigint[];
begin
  with gone as (update messages set status = 'cancelled', reason = 'contact_wrote'
    where id in (select message_id from drafts where conversation_id = p_conversation) and status = 'draft'
    returning turn_id)
  select array_agg(distinct turn_id) into v_turns from gone;
  if v_turns is null then return; end if;
  update messages set status = 'received', reason = null where turn_id = any (v_turns) and direction = 'in'
    and status = 'handed_over' and reason = 'draft';
end $function$;
revoke all on function public.withdraw_drafts(bigint) from public;
grant execute on function public.withdraw_drafts(bigint) to service_role;
grant execute on function public.withdraw_drafts(bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.withdraw_parts(p_conversation bigint)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_turns bigint[];
begin
  if (select superseded_in_row from conversations where id = p_conversation) >= 2 then return; end if;
  perform note_withdrawn(p_conversation);
  with gone as (
    update messages set status = 'cancelled', reason = 'contact_wrote', goes_at = null
      where id in (select o.message_id from outbox o where o.conversation_id = p_conversation and o.kind = 'reply')
        and status = 'queued' and author = 'agent'
        -- what is said of an outage answers nothing
        and not exists (select from turns t where t.id = messages.turn_id and t.status = 'deferred') returning turn_id)
  select array_agg(distinct turn_id) into v_turns from gone;
  if v_turns is null then return; end if;
  update conversations set superseded_in_row = superseded_in_row + 1 where id = p_conversation;
  update messages i set status = 'received', reason = null
    where i.turn_id = any (v_turns) and i.direction = 'in' and i.status = 'answered'
      and not exists (select 1 from messages o where o.turn_id = i.turn_id and o.direction = 'out'
        and o.status not in ('cancelled', 'queued'));
end $function$;
revoke all on function public.withdraw_parts(bigint) from public;
grant execute on function public.withdraw_parts(bigint) to service_role;
grant execute on function public.withdraw_parts(bigint) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.word_stems(p_words jsonb)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(jsonb_object_agg(w.word, to_jsonb(tsvector_to_array(to_tsvector('portuguese', w.word)))), '{}')
    from (select distinct word from jsonb_array_elements_text(p_words) e (word)) w
$function$;
revoke all on function public.word_stems(jsonb) from public;
grant execute on function public.word_stems(jsonb) to service_role;
grant execute on function public.word_stems(jsonb) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.write_by_hand(p_tenant text, p_conversation bigint, p_text text, p_actor text, p_key text, p_force boolean, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v_taken jsonb; v conversations; v_message messages; v_now timestamptz := clock(p_now);
  v_key text := 'hand-' || p_conversation || '-' || p_key;
begin
  v_taken := take_conversation(p_tenant, p_conversation, p_actor, p_force, p_now);
  if v_taken ->> 'outcome' <> 'taken' then return v_taken; end if;
  select * into v from conversations where id = (v_taken ->> 'conversation_id')::bigint;
  if p_key is not null then
    select * into v_message from messages where tenant_id = p_tenant and (kind = 'operator') = false
      and idempotency_key = v_key;
  end if;
  if v_message.id is null then
    insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text,
      provider_at, kind, priority, part, due_at, written_by, idempotency_key, created_at)
      values (p_tenant, v.instance_id, v.id, v.last_seq + 1, 'out', 'system', 'text', 'queued', p_text, v_now, 'manual',
        1, 0, v_now, p_actor, v_key, v_now) returning * into v_message;
    update conversations set last_seq = last_seq + 1 where id = v.id;
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (p_tenant, p_actor, 'conversation.write', v.id::text, jsonb_build_object('message_id', v_message.id),
        v_now);
  end if;
  return jsonb_build_object('outcome', 'written', 'id', v_message.id, 'status', v_message.status, 'conversation_id',
    v.id);
end $function$;
revoke all on function public.write_by_hand(text,bigint,text,text,text,boolean,timestamp with time zone) from public;
grant execute on function public.write_by_hand(text,bigint,text,text,text,boolean,timestamp with time zone) to service_role;
grant execute on function public.write_by_hand(text,bigint,text,text,text,boolean,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.wrong_password(p_user bigint, p_now timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare v users;
begin
  update users set failures = 11 where id = p_user and failures = 10 returning * into v;
  if found then
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (v.tenant_id, 'console', 'user.locked', v.email, jsonb_build_object('until', v.locked_until),
        clock(p_now));
  end if;
  return '{}';
end $function$;
revoke all on function public.wrong_password(bigint,timestamp with time zone) from public;
grant execute on function public.wrong_password(bigint,timestamp with time zone) to service_role;
grant execute on function public.wrong_password(bigint,timestamp with time zone) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.wrote_again(p_conversation public.conversations, p_turn public.turns)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if p_conversation.inbound_seq <= p_turn.inbound_seq then return false; end if;
  return p_conversation.superseded_in_row < 2 or exists (select
    from inbox i join messages e on e.id = i.message_id
    where i.conversation_id = p_conversation.id and e.edited_at >= p_turn.started_at);
end $function$;
revoke all on function public.wrote_again(public.conversations,public.turns) from public;
grant execute on function public.wrote_again(public.conversations,public.turns) to service_role;
grant execute on function public.wrote_again(public.conversations,public.turns) to whats_agents_runtime;

CREATE OR REPLACE FUNCTION public.yields(p_message public.messages, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  return exists (select from outbox o where o.instance_id = p_message.instance_id and is_proactive(o.kind)
    and not is_notice(o.kind) and o.priority in (1, 2, 3) and o.priority < p_message.priority
    and o.urgent_at > p_now - interval '2 minutes'
      and o.urgent_at <= p_now
    and o.conversation_id <> p_message.conversation_id and coalesce(o.reason, '') not like 'paused_%');
end $function$;
revoke all on function public.yields(public.messages,timestamp with time zone) from public;
grant execute on function public.yields(public.messages,timestamp with time zone) to service_role;
grant execute on function public.yields(public.messages,timestamp with time zone) to whats_agents_runtime;

CREATE TRIGGER agents_versions BEFORE INSERT OR UPDATE ON public.agents FOR EACH ROW EXECUTE FUNCTION public.keep_versions();
CREATE TRIGGER audit_log_date BEFORE INSERT ON public.audit_log FOR EACH ROW EXECUTE FUNCTION public.date_audit();
CREATE TRIGGER events_handed_over AFTER UPDATE OF controlled_by ON public.conversations FOR EACH ROW WHEN (((old.controlled_by = 'agent'::text) AND (new.controlled_by = 'human'::text))) EXECUTE FUNCTION public.tell_handed_over();
CREATE TRIGGER events_instance AFTER UPDATE OF status ON public.instances FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.tell_instance();
CREATE TRIGGER events_received AFTER INSERT ON public.messages FOR EACH ROW WHEN ((new.status = 'received'::text)) EXECUTE FUNCTION public.tell_received();
CREATE TRIGGER events_sent AFTER UPDATE OF status ON public.messages FOR EACH ROW WHEN (((new.status = ANY (ARRAY['sent'::text, 'delivered'::text, 'read'::text])) AND (old.status <> ALL (ARRAY['sent'::text, 'delivered'::text, 'read'::text])) AND (new.kind <> 'operator'::text))) EXECUTE FUNCTION public.tell_sent();
CREATE TRIGGER events_words AFTER UPDATE OF wordless ON public.messages FOR EACH ROW WHEN ((old.wordless AND (NOT new.wordless) AND (new.status = 'received'::text))) EXECUTE FUNCTION public.tell_received();
CREATE TRIGGER inbox_added AFTER INSERT ON public.messages FOR EACH ROW WHEN ((new.status = 'received'::text)) EXECUTE FUNCTION public.keep_inbox();
CREATE TRIGGER inbox_changed AFTER UPDATE OF status, conversation_id, seq, meaning, created_at ON public.messages FOR EACH ROW WHEN ((((old.status = 'received'::text) OR (new.status = 'received'::text)) AND ((old.status IS DISTINCT FROM new.status) OR (old.conversation_id IS DISTINCT FROM new.conversation_id) OR (old.seq IS DISTINCT FROM new.seq) OR (old.created_at IS DISTINCT FROM new.created_at) OR ((old.meaning ? 'command'::text) IS DISTINCT FROM (new.meaning ? 'command'::text))))) EXECUTE FUNCTION public.keep_inbox();
CREATE TRIGGER inbox_gone AFTER DELETE ON public.messages FOR EACH ROW WHEN ((old.status = 'received'::text)) EXECUTE FUNCTION public.keep_inbox();
CREATE TRIGGER sends_added AFTER INSERT ON public.messages FOR EACH ROW WHEN (((new.status = ANY (ARRAY['queued'::text, 'sending'::text, 'uncertain'::text, 'draft'::text, 'failed'::text, 'unproven'::text])) OR (new.slot_at IS NOT NULL))) EXECUTE FUNCTION public.keep_sends();
CREATE TRIGGER sends_changed AFTER UPDATE OF status, reason, due_at, lease_until, claimed_at, slot_at, conversation_id, instance_id, turn_id, priority, kind, first_contact, error_class, expires_at, campaign_id, created_at ON public.messages FOR EACH ROW WHEN (((((old.status = ANY (ARRAY['queued'::text, 'sending'::text, 'uncertain'::text, 'draft'::text, 'failed'::text, 'unproven'::text])) OR (new.status = ANY (ARRAY['queued'::text, 'sending'::text, 'uncertain'::text, 'draft'::text, 'failed'::text, 'unproven'::text]))) AND ((old.status IS DISTINCT FROM new.status) OR (old.reason IS DISTINCT FROM new.reason) OR (old.due_at IS DISTINCT FROM new.due_at) OR (old.lease_until IS DISTINCT FROM new.lease_until) OR (old.claimed_at IS DISTINCT FROM new.claimed_at) OR (old.slot_at IS DISTINCT FROM new.slot_at) OR (old.conversation_id IS DISTINCT FROM new.conversation_id) OR (old.instance_id IS DISTINCT FROM new.instance_id) OR (old.turn_id IS DISTINCT FROM new.turn_id) OR (old.priority IS DISTINCT FROM new.priority) OR (old.kind IS DISTINCT FROM new.kind) OR (old.first_contact IS DISTINCT FROM new.first_contact) OR (old.error_class IS DISTINCT FROM new.error_class) OR (old.expires_at IS DISTINCT FROM new.expires_at) OR (old.campaign_id IS DISTINCT FROM new.campaign_id) OR (old.created_at IS DISTINCT FROM new.created_at))) OR (((old.slot_at IS NOT NULL) OR (new.slot_at IS NOT NULL)) AND ((old.slot_at IS DISTINCT FROM new.slot_at) OR (old.conversation_id IS DISTINCT FROM new.conversation_id) OR (old.instance_id IS DISTINCT FROM new.instance_id) OR (old.kind IS DISTINCT FROM new.kind) OR (old.first_contact IS DISTINCT FROM new.first_contact))))) EXECUTE FUNCTION public.keep_sends();
CREATE TRIGGER sends_gone AFTER DELETE ON public.messages FOR EACH ROW WHEN (((old.status = ANY (ARRAY['queued'::text, 'sending'::text, 'uncertain'::text, 'draft'::text, 'failed'::text, 'unproven'::text])) OR (old.slot_at IS NOT NULL))) EXECUTE FUNCTION public.keep_sends();
CREATE TRIGGER touch BEFORE UPDATE ON public.contacts FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER touch BEFORE UPDATE ON public.conversations FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER touch BEFORE UPDATE ON public.instances FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
