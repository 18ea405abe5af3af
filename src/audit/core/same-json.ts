/** Whether two JSON values are equal, in whatever order their members stand. */
export function isSameJson(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false;
  if (Array.isArray(one)) {
    if (!Array.isArray(other) || one.length !== other.length) return false;
    for (let at = 0; at < one.length; at++) if (!isSameJson(one[at], other[at])) return false;
    return true;
  }
  if (Array.isArray(other)) return false;
  const members = one as Record<string, unknown>;
  const others = other as Record<string, unknown>;
  let left = Object.keys(others).length;
  for (const name in members) {
    left -= 1;
    if (!Object.hasOwn(others, name) || !isSameJson(members[name], others[name])) return false;
  }
  return left === 0;
}
