/**
 * Whether the narrow tables of what is under way (inbox, drafts, outbox, on_wire, dead_sends, slots and their sums) say what `messages` says, in both
 * directions. Reads every message: for tests, and for the end of a run.
 */

/** What each table must hold, and what it holds; both sides as one text a row. */
const PAIRS: [table: string, must: string, has: string][] = [
  [
    'inbox',
    `select (tenant_id, conversation_id, seq, id, created_at, coalesce(meaning ? 'command', false))::text from messages where status = 'received'`,
    `select (tenant_id, conversation_id, seq, message_id, created_at, command)::text from inbox`,
  ],
  [
    'drafts',
    `select (id, tenant_id, conversation_id, turn_id)::text from messages where status = 'draft'`,
    `select (message_id, tenant_id, conversation_id, turn_id)::text from drafts`,
  ],
  [
    'outbox',
    `select (id, tenant_id, conversation_id, instance_id, priority, kind, due_at, case when kind not in ('reply', 'handoff') and priority in (1, 2, 3) then due_at end,
       reason, expires_at, campaign_id)::text from messages where status = 'queued'`,
    `select (message_id, tenant_id, conversation_id, instance_id, priority, kind, due_at, urgent_at, reason, expires_at, campaign_id)::text from outbox`,
  ],
  [
    'on_wire',
    `select (id, tenant_id, conversation_id, instance_id, kind, status, lease_until, due_at, claimed_at, slot_at, first_contact, campaign_id)::text
       from messages where status in ('sending', 'uncertain')`,
    `select (message_id, tenant_id, conversation_id, instance_id, kind, status, lease_until, due_at, claimed_at, slot_at, first_contact, campaign_id)::text from on_wire`,
  ],
  [
    'dead_sends',
    `select (id, tenant_id, conversation_id, instance_id, status, error_class, created_at)::text from messages where status in ('failed', 'unproven')`,
    `select (message_id, tenant_id, conversation_id, instance_id, status, error_class, created_at)::text from dead_sends`,
  ],
  [
    'slots',
    `select (tenant_id, instance_id, kind in ('reply', 'handoff'), slot_at, id, conversation_id, kind, first_contact)::text
       from messages where slot_at is not null and kind is not null and status not in ('sending', 'uncertain')`,
    // of who was erased the slot stays, see keep_sends
    `select (tenant_id, instance_id, reply, slot_at, message_id, conversation_id, kind, first_contact)::text from slots s
       where exists (select from messages m where m.id = s.message_id)`,
  ],
  [
    'slot_minutes',
    `select (instance_id, reply, slot_minute(slot_at), kind, first_contact, count(*))::text from slots group by instance_id, reply, slot_minute(slot_at), kind, first_contact`,
    `select (instance_id, reply, minute, kind, first_contact, sum(n))::text from slot_minutes group by instance_id, reply, minute, kind, first_contact having sum(n) <> 0`,
  ],
  [
    'slot_hours',
    `select (instance_id, slot_hour(slot_at), kind, first_contact, count(*))::text from slots where not reply group by instance_id, slot_hour(slot_at), kind, first_contact`,
    `select (instance_id, hour, kind, first_contact, sum(n))::text from slot_hours group by instance_id, hour, kind, first_contact having sum(n) <> 0`,
  ],
];

/** One line for each row that is missing or too much; empty when all is right. Of a database in which no slots were purged. `query` sees one snapshot. */
export async function narrowDifferences(query: (sql: string) => Promise<Record<string, unknown>[]>): Promise<string[]> {
  const parts = PAIRS.map(
    ([table, must, has]) => `
      select '${table} lacks ' || d.r as line from (${must} except all ${has}) d (r)
      union all select '${table} has too much: ' || d.r from (${has} except all ${must}) d (r)`,
  );
  const rows = await query(`select line from (${parts.join(' union all ')}) x order by line limit 50`);
  return rows.map((row) => String(row['line']));
}
