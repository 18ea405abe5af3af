/**
 * The whole text of an answer.
 * @param most characters
 * @throws what `tooLong` makes of a sentence when it is longer; the connection ends then
 */
export async function answerText(
  response: Response,
  most: number,
  tooLong: (sentence: string) => Error,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    text += decoder.decode(bytes, { stream: true });
    // Leaving the loop ends the connection.
    if (text.length > most) throw tooLong(`an answer of more than ${most} characters`);
  }
  return text + decoder.decode();
}
