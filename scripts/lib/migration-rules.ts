/**
 * What a migration after the first release may not do: hold a lock on a table that may be large for longer than a moment, or take away what the release before
 * still uses. Read from Postgres' own parser.
 */
import { parse } from 'libpg-query';

type Node = Record<string, unknown>;

/** The statements of a file that break a rule, in words; empty when all may run while the release before serves. Tables made in the file itself are free. */
export async function blockingStatements(sql: string): Promise<string[]> {
  const { stmts = [] } = await parse(sql);
  const fresh = new Set<string>();
  const alone = sql.startsWith('-- outside a transaction\n');
  const found: string[] = [];
  for (const { stmt } of stmts) {
    const [kind = '', node] = Object.entries((stmt ?? {}) as Record<string, Node>)[0] ?? [];
    if (node === undefined) continue;
    if (kind === 'CreateStmt') fresh.add(relation(node));
    else found.push(...(judge(kind, node, fresh) ?? []));
  }
  if (alone && stmts.length !== 1) found.push('a file outside a transaction holds one statement: half of two could stay');
  if (!alone && /\bconcurrently\b/i.test(sql.replaceAll(/--.*$/gm, '')))
    found.push('concurrently needs a file that begins with "-- outside a transaction"');
  return found;
}

function judge(kind: string, node: Node, fresh: Set<string>): string[] | null {
  const table = relation(node);
  switch (kind) {
    case 'IndexStmt':
      return fresh.has(table) || node['concurrent'] === true
        ? null
        : [`create index on ${table} blocks its writers: concurrently, in a file outside a transaction`];
    case 'AlterTableStmt':
      return fresh.has(table) ? null : list(node['cmds']).flatMap((each) => judgeChange(table, child(each, 'AlterTableCmd')));
    case 'RenameStmt':
      return [`a rename takes away the name that the release before uses (${table})`];
    case 'DropStmt':
      return ['what is dropped is used by the release before: drop it one release later'];
    case 'UpdateStmt':
    case 'DeleteStmt':
      return fresh.has(table)
        ? null
        : [`${kind === 'UpdateStmt' ? 'update' : 'delete'} of ${table} holds its rows until the end: in steps, by a job`];
    case 'VacuumStmt':
    case 'ReindexStmt':
    case 'LockStmt':
    case 'TruncateStmt':
      return [`${kind.replace('Stmt', '').toLowerCase()} locks what is in use`];
    default:
      return null;
  }
}

function judgeChange(table: string, change: Node): string[] {
  const constraint = child(change['def'], 'Constraint');
  switch (change['subtype']) {
    case 'AT_AlterColumnType':
      return [`a change of type writes ${table} anew: add a column`];
    case 'AT_SetNotNull':
      return [
        `set not null reads all of ${table} under its lock: add a check that is not valid, validate it, then set it one release later`,
      ];
    case 'AT_DropColumn':
      return [`the column of ${table} is used by the release before: drop it one release later`];
    case 'AT_AddConstraint':
      if (constraint['contype'] === 'CONSTR_UNIQUE' || constraint['contype'] === 'CONSTR_PRIMARY')
        return constraint['indexname'] === undefined
          ? [`a unique constraint on ${table} builds its index under the lock: concurrently first, then using index`]
          : [];
      return constraint['skip_validation'] === true
        ? []
        : [`a constraint on ${table} reads all of it under the lock: not valid first, validated in a statement of its own`];
    case 'AT_AddColumn': {
      const constraints = list(child(change['def'], 'ColumnDef')['constraints']).map((each) => child(each, 'Constraint'));
      const value = constraints.find((each) => each['contype'] === 'CONSTR_DEFAULT')?.['raw_expr'];
      const found: string[] = [];
      if (value !== undefined && !isConstant(value)) found.push(`a default that may differ by row writes ${table} anew`);
      if (constraints.some((each) => each['contype'] === 'CONSTR_GENERATED' || each['contype'] === 'CONSTR_IDENTITY'))
        found.push(`a generated column writes ${table} anew`);
      if (constraints.some((each) => each['contype'] === 'CONSTR_UNIQUE' || each['contype'] === 'CONSTR_PRIMARY'))
        found.push(`a unique column of ${table} builds its index under the lock`);
      if (constraints.some((each) => each['contype'] === 'CONSTR_NOTNULL') && value === undefined)
        found.push(`not null without a default: the release before does not write this column of ${table}`);
      return found;
    }
    default:
      return [];
  }
}

/** A literal, a cast of one, now() (one value for all rows), an array of literals. */
function isConstant(value: unknown): boolean {
  const [kind = '', node = {}] = Object.entries((value ?? {}) as Record<string, Node>)[0] ?? [];
  if (kind === 'A_Const') return true;
  if (kind === 'TypeCast') return isConstant(node['arg']);
  if (kind === 'A_ArrayExpr') return list(node['elements']).every(isConstant);
  return kind === 'FuncCall' && JSON.stringify(node['funcname']).includes('"now"');
}

function relation(node: Node): string {
  const name = (node['relation'] as Node | undefined)?.['relname'];
  return typeof name === 'string' ? name : '';
}

function child(value: unknown, kind: string): Node {
  return ((value as Node | undefined)?.[kind] as Node | undefined) ?? {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
