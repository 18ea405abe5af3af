import { beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';

import { runLine } from '../support/command-line.js';

/** Stands for zsh's own, which works inside its line editor only. */
const COMPLETION_SYSTEM = 'compdef() { }; compadd() { shift; print -r -- $@ }';
const ASKED = `
words=(loractl token c); CURRENT=3; _loractl
words=(loractl token create --role ''); CURRENT=5; _loractl
words=(loractl --url http://x kill --f); CURRENT=5; _loractl`;

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
    expect(offered('token', 'c')).toEqual(['create']);
    expect(offered('token', 'create', '--e')).toEqual(['--expires']);
    expect(offered('token', 'create', '--role', 'aud')).toEqual(['auditor']);
    expect(offered('summary', '--si')).toEqual(['--since']);
    expect(offered('fleets', '--a')).toEqual(['--at']);
    expect(offered('refusals', '--code', 'unauth')).toEqual(['unauthenticated']);
    expect(offered('access', '--at')).toEqual(['--at']);
    // A word that is an option's value is no command.
    expect(offered('history', '--reason', 'kill', '--t')).toEqual(['--type', '--token-file', '--timeout']);
    expect(offered('completion', '')).toEqual(expect.arrayContaining(['bash', 'zsh']));
  });

  it('says the same in zsh', async () => {
    const { code, out } = await runLine(['completion', 'zsh']);
    expect(code).toBe(0);
    expect(out).toMatch(/^#compdef loractl\n/);
    const casesOf = (text: string) => text.match(/^ {4}\S+\) found=.*$/gm);
    expect(casesOf(out)).toEqual(casesOf(script));
    // What is only looked up when it runs, a zsh must try; where there is none, its grammar must do.
    const zsh = spawnSync('zsh', ['-fc', `${COMPLETION_SYSTEM}\n${out}\n${ASKED}`], { encoding: 'utf8' });
    if (zsh.error === undefined) {
      expect(zsh.stderr).toBe('');
      expect(zsh.stdout.split('\n').map((line) => line.split(' ')[0])).toEqual([
        'create',
        'viewer',
        '--fleet',
        '',
      ]);
    } else {
      expect(spawnSync('bash', ['-n'], { input: out, encoding: 'utf8' }).stderr).toBe('');
    }
  });

  it('knows only two shells', async () => {
    expect((await runLine(['completion', 'fish'])).code).toBe(2);
  });
});
