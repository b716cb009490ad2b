# shellcheck shell=bash
# installManPage, installShellCompletion, installBin: files to where programs look for them.

# installManPage [--name NAME] FILE...: the section is the suffix before an optional .gz.
installManPage() {
  local name="" file base section man="${outputMan:?}"
  while (($#)); do
    case "$1" in
      --name)
        name="${2:?--name needs a value}"
        shift 2
        ;;
      --name=*)
        name="${1#--name=}"
        shift
        ;;
      --)
        shift
        break
        ;;
      --*)
        echo "installManPage: unknown option $1" >&2
        return 1
        ;;
      *) break ;;
    esac
  done
  for file in "$@"; do
    base="${name:-$(basename -- "$file")}"
    section="${base%.gz}"
    section="${section##*.}"
    if [[ ! $section =~ ^[1-9nl] ]]; then
      echo "installManPage: $base has no manual section in its name" >&2
      return 1
    fi
    install -D -m 644 -- "$file" "${!man}/share/man/man${section:0:1}/$base"
  done
}

# _completionTarget SHELL NAME: the path under an output, on standard output.
_completionTarget() {
  case "${1:?shell}" in
    bash) echo "share/bash-completion/completions/${2:?name}" ;;
    zsh) echo "share/zsh/site-functions/${2:?name}" ;;
    fish) echo "share/fish/vendor_completions.d/${2:?name}" ;;
    nushell) echo "share/nushell/vendor/autoload/${2:?name}" ;;
    *)
      echo "installShellCompletion: unknown shell $1" >&2
      return 1
      ;;
  esac
}

# installShellCompletion [--cmd NAME] [--bash|--zsh|--fish] [--name NAME] FILE...
installShellCompletion() {
  local shell="" name="" cmd="" file kind base target bin="${outputBin:?}"
  while (($#)); do
    case "$1" in
      --bash | --zsh | --fish | --nushell)
        shell="${1#--}"
        shift
        ;;
      --name | --cmd)
        printf -v "${1#--}" '%s' "${2:?$1 needs a value}"
        shift 2
        ;;
      --name=* | --cmd=*)
        printf -v "$(v="${1%%=*}" && echo "${v#--}")" '%s' "${1#*=}"
        shift
        ;;
      --)
        shift
        ;;
      --*)
        echo "installShellCompletion: unknown option $1" >&2
        return 1
        ;;
      *)
        file="$1" kind="$shell"
        base="$(basename -- "$file")"
        if [[ -z $kind ]]; then
          case "$base" in
            *.bash) kind=bash ;;
            *.fish) kind=fish ;;
            *.zsh | _*) kind=zsh ;;
            *.nu) kind=nushell ;;
            *)
              echo "installShellCompletion: $base does not show its shell, give --bash, --zsh or --fish" >&2
              return 1
              ;;
          esac
        fi
        if [[ -n $name ]]; then
          base="$name"
        elif [[ -n $cmd ]]; then
          case "$kind" in
            bash) base="$cmd.bash" ;;
            zsh) base="_$cmd" ;;
            fish) base="$cmd.fish" ;;
            nushell) base="$cmd.nu" ;;
          esac
        elif [[ $kind == zsh && $base == *.zsh ]]; then
          base="_${base%.zsh}"
        fi
        target="${!bin}/$(_completionTarget "$kind" "$base")"
        # `<(program completions bash)` is a pipe, which `install` would not read.
        mkdir -p "$(dirname "$target")"
        cat -- "$file" >"$target"
        name=""
        shift
        ;;
    esac
  done
}

# installBin FILE...
installBin() {
  local file bin="${outputBin:?}"
  for file in "$@"; do install -D -m 755 -- "$file" "${!bin}/bin/$(basename -- "$file")"; done
}
