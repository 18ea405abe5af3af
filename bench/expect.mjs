/** What is wrong with an answer, undefined when it is the one that was asked for: a wrong answer is never measured. */
export function faultOf({ status, body }, expect, generations) {
  const shown = () => `${status} ${body.subarray(0, 300).toString()}`;
  if (status !== 200) return `not 200 but ${shown()}`;
  if (expect.bytes) return body.equals(expect.bytes) ? undefined : `other bytes: ${shown()}`;
  if (expect.summary) return summaryFault(JSON.parse(body.toString()), expect.summary);
  if (expect.fleets) {
    const { fleets } = JSON.parse(body.toString());
    return fleets.length === expect.fleets ? undefined : `${fleets.length} fleets, not ${expect.fleets}`;
  }
  if (expect.events) return pageFault(JSON.parse(body.toString()), expect.events);
  const text = body.latin1Slice(0, 400);
  const [, generation] = /"generation":(\d+)/.exec(text) ?? [];
  if (generation === undefined) return `no state: ${shown()}`;
  generations.push(Number(generation));
  if (!text.includes(`"fleet":"${expect.fleet}"`)) return `another fleet: ${shown()}`;
  if (expect.enabled !== undefined && !text.includes(`"enabled":${expect.enabled}`)) {
    return `not enabled=${expect.enabled}: ${shown()}`;
  }
  return undefined;
}

function summaryFault({ events, by_type, kills }, expect) {
  if (events !== expect.events || kills.length !== expect.kills)
    return `${events} events and ${kills.length} kills, not ${expect.events} and ${expect.kills}`;
  const sum = Object.values(by_type).reduce((one, other) => one + other, 0);
  return sum === events ? undefined : `${sum} events by type, not ${events}`;
}

function pageFault({ events }, { count, every = {} }) {
  if (events?.length !== count) return `${events?.length} events, not ${count}`;
  const positions = events.map(({ position }) => position);
  if (positions.some((position, nth) => nth > 0 && position >= positions[nth - 1])) return 'not newest first';
  const stranger = events.find((event) =>
    Object.entries(every).some(([name, value]) => event[name] !== value),
  );
  return stranger && `an event that the filter excludes: ${JSON.stringify(stranger)}`;
}
