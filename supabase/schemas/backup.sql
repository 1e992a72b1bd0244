-- What a restored database is told about itself.

-- restored_state: what is open after a restore, see mark_restored. Read only.
create or replace function restored_state(p_uncertain int)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object('uncertain', p_uncertain,
    'scheduled', (select count(*) from outbox),
    'unanswered', (select count(*) from inbox),
    'instances', (select coalesce(jsonb_agg(name order by id), '[]') from instances where restored_at is not null))
$$;

-- mark_restored: a backup has just been restored: what it says of messages may not be so any more. Called once, before
-- any process starts.
-- Guarantee: nothing that may have left since the backup is sent again by itself, and nothing is answered before the
--   provider was asked what happened since: what was on its way becomes uncertain and is looked up; what nobody could
--   have sent yet (send_after still ahead) stays; each number is paused until it has been compared with its provider
--   (reconciled, settle_restored). A second call changes nothing.
-- Arguments: p_backup_at when the backup was made.
-- Result: {uncertain, scheduled, unanswered, instances: names that wait for their comparison}.
create or replace function mark_restored(p_backup_at timestamptz, p_actor text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
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
end $$;

-- settle_restored: a number has been compared with its provider up to the restore: what happened after the backup is
-- known, and the number goes on.
-- Guarantee: what was answered between the backup and the loss is not answered again; what was not is. The silence that
--   our own words of that time caused ends; a pause that a person made stays.
-- Concurrency: the caller holds the number's row.
create or replace function settle_restored(p_instance instances, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
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
end $$;

revoke all on function
  restored_state(int),
  mark_restored(timestamptz, text, timestamptz),
  settle_restored(instances, timestamptz)
  from public, anon, authenticated;
grant execute on function
  restored_state(int),
  mark_restored(timestamptz, text, timestamptz),
  settle_restored(instances, timestamptz)
  to service_role, whats_agents_runtime;
