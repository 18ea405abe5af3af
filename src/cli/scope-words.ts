/** What a list says first when its caller may not see all fleets: it must not look like all there is. */
export function scopeLines(scope: string | undefined): string[] {
  return scope === 'partial' ? ['Only of the fleets that you may see (not all there are):'] : [];
}
