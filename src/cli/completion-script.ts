import type { Command, Option } from 'commander';

/** After `loractl` or one command: the words that may follow. */
function wordsOf(command: Command, program: Command): string[] {
  const commands = command.commands.flatMap((each) => [each.name(), ...each.aliases()]);
  const options = [...command.options, ...(command === program ? [] : program.options)];
  const flags = options.map(({ long, short }) => long ?? short ?? '').filter((flag) => flag !== '');
  const choices = command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []);
  return [...commands, ...choices, ...new Set([...flags, '--help'])];
}

/** A command and those below it, each with its path as patterns of the shell: `kill|disable`, `engines/remove`. */
function commandsOf(command: Command, above = ''): { readonly pattern: string; readonly command: Command }[] {
  return command.commands.flatMap((each) => {
    const paths = [each.name(), ...each.aliases()].map((name) => above + name);
    return [
      { pattern: paths.join('|'), command: each },
      ...paths.flatMap((path) => commandsOf(each, `${path}/`)),
    ];
  });
}

/** The values that an option takes, where they are few. */
function choicesOf(options: readonly Option[]): string[] {
  return options
    .filter(({ argChoices }) => argChoices !== undefined)
    .map(({ long, argChoices }) => `    ${long ?? ''}) found='${argChoices?.join(' ') ?? ''}' ;;`);
}

/** Options that take a file: the shell knows better. */
function filesOf(options: readonly Option[]): string[] {
  return options
    .filter(({ flags }) => /<file(\.\.\.)?>/.test(flags))
    .flatMap(({ long, short }) => [long, short].filter((flag) => flag != null));
}

/** A completion script, made from the program itself so that it never lags behind. */
export function completionScript(program: Command, shell: 'bash' | 'zsh'): string {
  const commands = commandsOf(program);
  const options = [program, ...commands.map(({ command }) => command)].flatMap(({ options }) => options);
  const cases = commands.map(
    ({ pattern, command }) => `    ${pattern}) found='${wordsOf(command, program).join(' ')}' ;;`,
  );
  const parts: Parts = {
    names: commands.map(({ pattern }) => pattern).join('|'),
    files: filesOf(options).join('|'),
    words: `case "$command" in
${cases.join('\n')}
    *) found='${wordsOf(program, program).join(' ')}' ;;
  esac
  case "$previous" in
${choicesOf(options).join('\n')}
  esac`,
  };
  return shell === 'bash' ? bash(parts) : zsh(parts);
}

/** Pieces of shell that both shells understand. */
interface Parts {
  readonly names: string;
  readonly files: string;
  readonly words: string;
}

function bash({ names, files, words }: Parts): string {
  return `# Completes loractl in bash: source <(loractl completion bash)
_loractl() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD - 1]}" command='' word found
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${command:+$command/}$word" in ${names}) command="\${command:+$command/}$word" ;; esac
  done
  case "$previous" in
    ${files}) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  ${words}
  COMPREPLY=($(compgen -W "$found" -- "$current"))
}
complete -F _loractl loractl
`;
}

function zsh({ names, files, words }: Parts): string {
  return `#compdef loractl
# Completes loractl in zsh: source <(loractl completion zsh), after compinit; or this file as _loractl in $fpath
_loractl() {
  local previous="\${words[CURRENT-1]}" command='' word found
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "\${command:+$command/}$word" in ${names}) command="\${command:+$command/}$word" ;; esac
  done
  case "$previous" in
    ${files}) _files; return ;;
  esac
  ${words}
  compadd -- \${=found}
}
if [[ "\${funcstack[1]}" == _loractl ]]; then _loractl "$@"; else compdef _loractl loractl; fi
`;
}
