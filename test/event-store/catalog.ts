import type { TestDatabase } from '../support/database.js';

/** All that the database knows of a table beside its rows: what must survive when another takes its place. */
export async function describeTable(database: TestDatabase, table: string): Promise<unknown> {
  const [description] = await database.query(
    `select obj_description(c.oid, 'pg_class') as comment, pg_get_userbyid(c.relowner) as owner,
       c.reloptions as options,
       (select jsonb_agg(a order by a) from (
          select format('%s %s %s', case grantee when 0 then 'public' else pg_get_userbyid(grantee) end,
            privilege_type, is_grantable) as a from aclexplode(c.relacl)) acl) as grants,
       (select jsonb_agg(jsonb_build_array(attname, format_type(atttypid, atttypmod), attnotnull, attstorage,
            attcollation::regcollation, pg_get_expr(adbin, adrelid), col_description(c.oid, attnum)) order by attnum)
        from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
        where attrelid = c.oid and attnum > 0 and not attisdropped) as columns,
       (select jsonb_agg(jsonb_build_array(conname, contype, pg_get_constraintdef(oid), obj_description(oid)) order by conname)
        from pg_constraint where conrelid = c.oid) as constraints,
       (select jsonb_agg(jsonb_build_array(pg_get_indexdef(indexrelid), indisprimary, indisvalid,
            obj_description(indexrelid)) order by 1)
        from (select * from pg_index where indrelid = c.oid order by indexrelid::regclass::text) i) as indexes
     from pg_class c where c.oid = $1::regclass`,
    [table],
  );
  return description;
}
