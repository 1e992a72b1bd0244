-- Slack, incoming: each event once, and what waits for a "confirmar".

create table slack_events (
  event_id    text primary key,
  tenant_id   text not null default 'default' references tenants (id),
  created_at  timestamptz not null default now()
);
create index slack_events_age on slack_events (created_at);

-- A command that was asked back: whoever gave it, there where it was given, may confirm it for two minutes.
create table operator_asks (
  actor       text not null,
  place       text not null,
  tenant_id   text not null default 'default' references tenants (id),
  command     jsonb not null,
  expires_at  timestamptz not null,
  primary key (actor, place)
);

-- take_slack_event: Slack posts an event again when it believes that nobody took it. Guarantee: one caller takes it; what is older than a day is forgotten.
-- Concurrency: any; the unique key decides. Result: {taken}.
create function take_slack_event(p_event text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_taken boolean;
begin
  insert into slack_events (event_id, created_at) values (p_event, clock(p_now)) on conflict do nothing;
  v_taken := found;
  delete from slack_events where event_id in (select event_id from slack_events where created_at < clock(p_now) - interval '1 day' limit 100);
  return jsonb_build_object('taken', v_taken);
end $$;

-- ask_operator: keeps a command that waits for a confirmation, for two minutes; a newer one of the same actor and place takes its place. Result: {}.
create function ask_operator(p_actor text, p_place text, p_command jsonb, p_now timestamptz default null) returns jsonb language plpgsql as $$
begin
  insert into operator_asks (actor, place, command, expires_at) values (p_actor, p_place, p_command, clock(p_now) + interval '2 minutes')
    on conflict (actor, place) do update set command = excluded.command, expires_at = excluded.expires_at;
  return '{}';
end $$;

-- take_asked: what this actor was asked here within two minutes, and takes it away: of two confirmations at once, one gets it. Result: the command or null.
create function take_asked(p_actor text, p_place text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v operator_asks;
begin
  delete from operator_asks where actor = p_actor and place = p_place returning * into v;
  return case when v.expires_at > clock(p_now) then v.command end;
end $$;
