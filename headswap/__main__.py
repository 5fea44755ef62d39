"""`headswap VERB [options]`: finds the verb's file, parses its flags, runs it, turns errors into one line."""

import os
import sys

from headswap import cli, flags
from headswap.output import print_error


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 1 something failed, 2 the user gave something wrong, 130 interrupted."""
    # Before torch is imported. Threads that spin while they wait made an epoch 8 times slower (9 s -> 76 s) as soon as
    # another process used the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(cli.overview())
        return 0
    try:
        verb = cli.find(words[0])
        module = verb.load()
        command = flags.parse(module, verb.name, words[1:])
        return int(module.run(command))
    except KeyboardInterrupt:
        print_error("interrupted")
        return 130
    except BrokenPipeError:
        # The reader of our output went away (`headswap predict ... | head`): nobody is left to tell.
        sys.stderr.close()
        return 1
    except Exception as error:
        exit_code = getattr(error, "exit_code", None)
        if exit_code is None and not isinstance(error, OSError):
            raise
        print_error(str(error))
        return exit_code if isinstance(exit_code, int) else 1


if __name__ == "__main__":
    sys.exit(main())
