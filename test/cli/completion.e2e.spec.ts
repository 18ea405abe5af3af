import { beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';

import { runLine } from '../support/command-line.js';

describe('loractl completion', () => {
  let script = '';

  /** What bash would offer for the last word. */
  function offered(...words: string[]): string[] {
    const line = ['loractl', ...words].map((word) => `'${word}'`).join(' ');
    const { stdout, stderr } = spawnSync(
      'bash',
      [
        '-c',
        `${script}\nCOMP_WORDS=(${line}); COMP_CWORD=${words.length}; _loractl; echo "\${COMPREPLY[*]}"`,
      ],
      { encoding: 'utf8' },
    );
    expect(stderr).toBe('');
    return stdout.trim().split(' ');
  }

  beforeAll(async () => {
    script = (await runLine(['completion', 'bash'])).out;
  });

  it('completes commands, options and choices in bash', () => {
    expect(offered('')).toEqual(expect.arrayContaining(['status', 'kill', 'disable', 'rollback', '--url']));
    expect(offered('ro')).toEqual(['rollback']);
    expect(offered('kill', '--f')).toEqual(['--fleet']);
    expect(offered('disable', '--a')).toEqual(['--all']);
    expect(offered('--url', 'http://x', 'status', '--w')).toEqual(['--watch']);
    expect(offered('history', '--type', 'LoraD')).toEqual(['LoraDisabled']);
    expect(offered('engines', 'r')).toEqual(['remove']);
    expect(offered('completion', '')).toEqual(expect.arrayContaining(['bash', 'zsh']));
  });

  it('says the same in zsh', async () => {
    const { code, out } = await runLine(['completion', 'zsh']);
    expect(code).toBe(0);
    expect(out).toMatch(/^#compdef loractl\n/);
    const casesOf = (text: string) => text.match(/^ {4}\S+\) found=.*$/gm);
    expect(casesOf(out)).toEqual(casesOf(script));
  });

  it('knows only two shells', async () => {
    expect((await runLine(['completion', 'fish'])).code).toBe(2);
  });
});
