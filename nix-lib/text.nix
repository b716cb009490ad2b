# What the text of a script reads, as far as text tells: the rules that decide who gets a held-back attribute. They
# err on one side: what only might be a read counts as one. (The Rust side, src/phase/script, parses; tests/text_rules.rs
# sees to it that whatever the parser finds is found here too.)
#
# Every attribute of a package is asked, at each evaluation: a rule looks for a plain piece of text before it uses an
# expression, and commands are taken apart only where the name of one that matters stands in the text.
let
  inherit (builtins)
    any concatLists concatStringsSep elem elemAt filter foldl' genList head isList isString length match replaceStrings
    split stringLength substring tail;

  mentions = text: name: replaceStrings [ name ] [ "" ] text != text;
  found = pattern: text: length (split pattern text) > 1;
  strings = pattern: text: filter isString (split pattern text);

  boundary = "[^A-Za-z0-9_]";
  isWord = text: word: mentions text word && found "${boundary}${replaceStrings [ "." ] [ "\\." ] word}${boundary}" " ${text} ";

  # ---- What the characters tell ----------------------------------------------------------------------------------------

  # The words behind which a script can reach every variable, or one whose name is made up as it runs.
  words = [
    "eval" "printenv" "envsubst" "compgen" "substituteAll" "substituteAllInPlace" "substituteAllStream" "expand_aliases"
  ];
  # The files with all attributes, the kernel's with the environment, and a text that is expanded as a prompt.
  pieces = [ "NIX_ATTRS_JSON_FILE" "NIX_ATTRS_SH_FILE" ".attrs.json" ".attrs.sh" "/environ" "@P}" ];

  # The file that stdenv writes the environment into, where it is read. (Packages that pack everything remove it.)
  dumped = text:
    mentions text "env-vars"
    && found "(^|${boundary})(cat|e?grep|fgrep|source|sed|awk|head|tail|sort|cut|[.]|<)([ \t][^\n;&|]*)?[ \t/\"'<]env-vars" " ${text}";

  # How other languages get at the environment; in a script that runs one of them. (Without that it is the text of a file
  # that the script patches.)
  environments = [ "environ" "environb" "getenv" "ENV" "ENVIRON" "process.env" "Deno.env" "get_env" ];
  interpreter = "(^|[ \t\n;&|({`/}])(python|pypy|perl|ruby|node|deno|bun|lua|luajit|awk|gawk|mawk|nawk|tclsh|php|guile|jq|gojq|Rscript|julia|elixir|emacs)[0-9.]*[\"' \t]";
  otherLanguage = text: any (isWord text) environments && found interpreter text;

  # Functions of stdenv that take the names of variables: a name with an expansion in it is made up as it runs.
  takesNames = text:
    any (mentions text) [ "concatTo" "concatStringsSep" ] && found "(concatTo|concatStringsSep)[ \t][^\n;&|]*[$]" text;

  # `\${!name}`. The keys of an array (`\${!array[@]}`) are no names of attributes, and neither are the names of outputs
  # (`\${!outputDev}`), where the script itself does not say what they are.
  indirect = text:
    mentions text "\${!"
    && any (
      rest:
      let output = match "(output[A-Za-z]*)[}].*" (substring 0 80 rest);
      in
      if output != null then isMade text (head output)
      else match "[A-Za-z_][A-Za-z0-9_]*\\[[@*]][}].*" (substring 0 80 rest) == null
    ) (tail (strings "[$][{]!" text));
  isMade = text: name:
    isWord (replaceStrings [ "\${!${name}}" "\${${name}}" "\$${name}" "for ${name} in" ] [ "" "" "" "" ] text) name;

  # A text that is made as it runs, and sourced: `. <(…)`, `source /dev/stdin <<<…`. Files are searched when they are there.
  streams = text:
    any (mentions text) [ "<(" "/dev/" ] && found "(^|[ \t\n;&|({])([.]|source)[ \t]+[\"']?(<[(]|/dev/)" text;

  # Programs that list the environment for another one: `sed '1e env'`, `git -c alias.x='!env'`, `make -p`.
  lent = text:
    any (mentions text) [ "e env" "e printenv" "!env" "!printenv" ] && found "(!|[0-9$/{;'\"]e )(env|printenv)(${boundary}|$)" text
    || mentions text "--print-data-base"
    || mentions text "make" && found "make[ \t]+-[A-Za-z]*p" text;

  # Variables whose values bash runs.
  prompts = text:
    any (mentions text) [ "PS4" "PROMPT_COMMAND" "ENV" ]
    && found "(^|${boundary})(PS4|PROMPT_COMMAND|BASH_ENV|ENV)[+]?=[^\n]*[$`]" text;

  # ---- Commands --------------------------------------------------------------------------------------------------------

  # Whether a piece of text may hold an expansion.
  isComputed = word: mentions word "$" || mentions word "`";
  isFlag = word: substring 0 1 word == "-";
  isVariable = word: match "[A-Za-z_][A-Za-z0-9_]*([+]?=|\\[).*" word != null;
  isAssignment = word: mentions word "=" && match "[A-Za-z_][A-Za-z0-9_]*(\\[[^]]*])?[+]?=.*" word != null;

  # The word without its quotes. One that has half a pair is a part of a longer word.
  unquoted = word: if mentions word "\"" || mentions word "'" then replaceStrings [ "\"" "'" ] [ "" "" ] word else word;
  isWhole = word: all' [ "\"" "'" ] (quote: length (strings quote word) / 2 * 2 != length (strings quote word));
  all' = list: test: !(any (one: !(test one)) list);
  last = list: elemAt list (length list - 1);

  # A comment at the end of a line, where it holds nothing that could be more than one.
  withoutComment = line:
    if !(mentions line "#") then line
    else
      let
        parts = strings "(^|[ \t])#" line;
        isPlain = part: !(any (mentions part) [ "\"" "'" "$" "`" "}" "\r" ]);
      in
      if length parts > 1 && isPlain (last parts) then
        concatStringsSep " #" (genList (elemAt parts) (length parts - 1))
      else line;

  # The text as one that `segments` can take apart: no comments, each line one line, a value in quotes (`FOO="a b"`) and
  # what is put into an argument (`$(pwd)`) one word. What these hold stands behind it.
  prepared = text:
    let
      lines = strings "\n" (replaceStrings [ "\\\n" ] [ "\r" ] text);
      joined = replaceStrings [ "\r" ] [ "" ] (concatStringsSep "\n" (if mentions text "#" then map withoutComment lines else lines));
      taken = pattern: by: from:
        let parts = split pattern from;
        in
        concatStringsSep "" (map (part: if isString part then part else by part) parts)
        + concatStringsSep "" (map (part: if isString part then "" else "\n${last part}") parts);
      substituted = if mentions joined "$(" then taken "[$][(]([^()\n]*)[)]" (_: "\${_}") joined else joined;
      quoted =
        if mentions substituted "=\"" || mentions substituted "='" then
          taken "(=)(\"[^\"\n]*\"|'[^'\n]*')" (_: "=\${_}") substituted
        else substituted;
    in
    if mentions quoted "=" && mentions quoted "\"" then
      taken "(^|[ \t])\"([A-Za-z_][A-Za-z0-9_]*[+]?=)([^\"\n]*)\"" (part: "${head part}${elemAt part 1}\${_}") quoted
    else quoted;

  # The commands, each as its words; roughly, a word may be a part of a quoted one.
  segments = text: filter (list: list != [ ]) (
    map (segment: filter (word: word != "") (strings "[ \t]+" segment)) (
      strings "[\n;&|()`]+" (replaceStrings [ ">" "<" "\\" ] [ " > " " < " "" ] text)
    )
  );

  # Without redirections.
  arguments = list:
    (foldl' (
      { kept, skip }: word:
      if word == ">" || word == "<" then {
        # The number of a file: `2>x`.
        kept = if kept != [ ] && match "[0-9]" (last kept) != null then genList (elemAt kept) (length kept - 1) else kept;
        skip = true;
      }
      else if skip then { inherit kept; skip = false; }
      else { kept = kept ++ [ word ]; skip = false; }
    ) { kept = [ ]; skip = false; } list).kept;

  from = index: list: genList (at: elemAt list (at + index)) (length list - index);

  # Words in front of a command's name; the first are commands that call another.
  callers = [ "command" "builtin" "exec" "nohup" "nice" "sudo" ];
  isBefore = word:
    elem word [ "!" "{" "}" "then" "do" "else" "elif" "if" "while" "until" "time" "coproc" ] || elem word callers || isAssignment word;
  # Where the name is. The options of such a word are passed by with it.
  nameAt = list:
    let
      go = at: wrapped:
        if at >= length list then at
        else
          let word = elemAt list at;
          in
          if word == "function" then go (at + 2) false
          else if isBefore word then go (at + 1) (wrapped || word == "time" || elem word callers)
          else if wrapped && isFlag word then go (at + 1) wrapped
          else at;
    in
    go 0 false;

  # Commands whose arguments are no commands.
  takesFiles = [
    ":" "true" "false" "basename" "cat" "cd" "chgrp" "chmod" "chown" "cmp" "cp" "cut" "diff" "dirname" "grep" "gunzip"
    "gzip" "head" "install" "installManPage" "ln" "ls" "make" "mkdir" "mktemp" "mv" "ninja" "patch" "patchShebangs" "popd"
    "pushd" "pwd" "readlink" "realpath" "rm" "rmdir" "shift" "sleep" "sort" "tail" "tar" "tee" "test" "[" "touch" "tr"
    "uniq" "wc"
  ];

  # `env` that has no program to run prints.
  prints = list:
    if list == [ ] then true
    else
      let word = head list;
      in
      if elem word [ "-u" "-C" "--unset" "--chdir" ] then length list < 2 || prints (from 2 list)
      else if isFlag word then substring 0 2 word == "-S" || substring 0 7 word == "--split" || isComputed word || prints (tail list)
      else if mentions word "=" && (isAssignment (unquoted word) || !(isComputed word)) then prints (tail list)
      else isComputed word;

  # Declarations that list variables, or set ones with names that are made up.
  declares = name: list:
    let
      flags = filter isFlag list;
      operands = filter (word: !(isFlag word)) list;
      letters = concatStringsSep "" flags;
      nameOf = word: head (strings "=" (unquoted word));
    in
    (operands == [ ] && !(match ".*[fF].*" letters != null) && name != "local")
    || (name != "export" && name != "readonly" && mentions letters "n")
    || any isComputed flags
    || any (word: isComputed (nameOf word) || match "[A-Za-z_].*" (nameOf word) == null && !(mentions word "\${_}")) operands;

  # A name that is given to a builtin: `array[$key]` names the array.
  isMadeUp = word: isComputed word && match "[\"']?[A-Za-z_][A-Za-z0-9_]*\\[.*" word == null;

  # What a command does that stands at the beginning.
  byName = name: list:
    if elem name [ "source" "." ] then list != [ ] && !(elem (unquoted (head list)) [ "$stdenv/setup" "\${stdenv}/setup" ])
    else if elem name [ "read" "mapfile" "readarray" "getopts" "let" ] then
      any isMadeUp list || (name != "read" && name != "let" && any (word: substring 0 2 word == "-C" || match "-[a-zA-Z]*C" word != null) list)
    else if name == "unset" then any isMadeUp list && !(any (word: match "-[a-z]*f.*" word != null) list)
    else if elem name [ "printf" "wait" "[" "[[" "test" "-v" "-R" ] then
      asks ([ name ] ++ list)
    else false;
  # `[ -v "$name" ]`, `printf -v "$name"`
  asks = list:
    length list > 1
    && (elem (unquoted (head list)) [ "-v" "-R" "-p" ] && isMadeUp (elemAt list 1) || match "-v.*[$`].*" (unquoted (head list)) != null || asks (tail list));

  # What a command does wherever its name stands, because another may call it (`xargs env`); plain where none does.
  anywhere = isPlain: name: list:
    if name == "env" then prints list
    else if name == "set" then all' list isComputed
    else if elem name [ "export" "declare" "typeset" "readonly" "local" ] then
      declares name list || !isPlain && any isComputed list
    else if name == "source" then byName name list
    else if name == "--subst-var" then list != [ ] && isComputed (head list)
    else false;
  known = [ "env" "set" "export" "declare" "typeset" "source" "--subst-var" ];

  # What only a command with a computed name may make more than text of.
  data = [ "env" "printenv" "eval" "envsubst" "compgen" "declare" "typeset" "export" "set" "source" "substituteAll" "substituteAllInPlace" "substituteAllStream" ];

  reaches = segment:
    let
      list = arguments segment;
      first = nameAt list;
      name = unquoted (elemAt list first);
      rest = from (first + 1) list;
      inside = genList (at: first + 1 + at) (length rest);
      isWrapped = any (at: elem (elemAt list at) callers) (genList (at: at) first);
      isKnown = at: let word = elemAt list at; in elem (unquoted word) known && isWhole word;
    in
    first < length list
    && (
      byName name rest
      || anywhere (!isWrapped) name rest
      || (
        (isWrapped || !(elem name takesFiles))
        && any (at: isKnown at && anywhere false (unquoted (elemAt list at)) (from (at + 1) list)) inside
      )
    );

  # A command whose name is computed, and a word that it may be.
  isComputedCommand = segment:
    let
      list = arguments segment;
      first = nameAt list;
    in
    first < length list && isComputed (elemAt list first);
  mayBe = text: list: any (
    segment:
    let first = nameAt segment;
    in any (at: let name = elemAt segment at; in at != first && any (isWord name) data) (genList (at: at) (length segment))
  ) list;

  # `sh -c TEXT` and `trap TEXT`: the text is a script too. One that is made up as it runs may be any.
  runs = "(^|${boundary})((ba|da|k|z)?sh[ \t]([^\n'\"]*[ \t])?-[a-z]*c|trap([ \t]+--)?)[ \t]+";
  runsText = text: (mentions text "sh" && mentions text "c " || mentions text "trap") && found runs text;
  isMadeUpText = text:
    any (
      rest:
      let line = head (strings "\n" rest);
      in isComputed (concatStringsSep "" (strings "'[^']*('|$)" line))
    ) (tail (strings runs text));

  triggers = [ "env" "set" "export" "declare" "typeset" "readonly" "local" "source" ". " ".\t" "read" "mapfile" "getopts" "let" "-v" "-R" "-p" "--subst-var" ];

  commandsReach = text:
    let
      isRun = runsText text;
      plain = prepared text;
      # Each text that is run on lines of its own.
      apart = concatStringsSep "" (
        map (part: if isString part then part else "\n${last part}\n") (split "${runs}([^ \t\n;&|'\"]*)" plain)
      );
      list = segments plain ++ (if isRun then segments (replaceStrings [ "\"" "'" ] [ "\n" "\n" ] apart) else [ ]);
    in
    (isRun && isMadeUpText text)
    || (
      any (mentions text) triggers
      && (any reaches list || (any (mentions text) data && any isComputedCommand list && mayBe text list))
    );

  # The Rust side reads no longer ones either. An expression is not tried on such a text.
  longest = 262144;
in
{
  # Whether a name stands anywhere in a text; as a whole word.
  inherit mentions isWord;

  # The text as `mentions` is to see it: `do"Check"` is a name too, and one that goes on in the next line.
  joined = replaceStrings [ "\\\n" "\\" "\"" "'" ] [ "" "" "" "" ];

  # Whether a text may read any variable.
  readsAll = text:
    stringLength text > longest
    || any (mentions text) pieces
    || any (isWord text) words
    || dumped text
    || otherLanguage text
    || takesNames text
    || indirect text
    || prompts text
    || streams text
    || lent text
    || commandsReach text;
}
