# What the text of a script reads, as far as text tells: the rules that decide who gets a held-back attribute. They
# err on one side: what only might be a read counts as one. (The Rust side, src/phase/script, parses; a test there sees
# to it that whatever the parser finds is found here too.)
let
  inherit (builtins) any filter isString length match replaceStrings split substring tail;

  mentions = text: name: replaceStrings [ name ] [ "" ] text != text;

  # The words behind which a script can reach every variable, or one whose name is made up as it runs.
  words = [
    "eval" "printenv" "envsubst" "compgen" "substituteAll" "substituteAllInPlace"
    "NIX_ATTRS_JSON_FILE" "NIX_ATTRS_SH_FILE" ".attrs.json" ".attrs.sh"
  ];
  # How other languages get at the environment; in a script that runs one of them. (Without that it is the text of a file
  # that the script patches.)
  environments = [ "environ" "getenv" "ENV" "ENVIRON" "process.env" ];
  interpreter = "(^|[ \t\n;&|({`/}])(python|pypy|perl|ruby|node|lua|awk|gawk|tclsh|php|guile)[0-9.]*[\"' \t]";
  otherLanguage = text: any (isWord text) environments && found interpreter text;

  boundary = "[^A-Za-z0-9_]";
  isWord = text: word: mentions text word && length (split "(${boundary})(${replaceStrings [ "." ] [ "\\." ] word})(${boundary})" " ${text} ") > 1;

  # Commands that list all variables when they stand alone or only have options: `env`, `set`, `export -p`. With anything
  # else behind them they name what they are about, but for `-p` and `-n`, which ask for text and for an alias.
  space = "[ \t]*";
  before = "(^|[;&|({`\n \t!])";
  after = "(${space}($|[;&|)}`<>\n#]|[0-9]+[<>]))";
  declares = "(declare|typeset|local|export|readonly)([ \t]+-[A-Za-z]+)*";
  found = pattern: text: length (split pattern text) > 1;
  lists = text:
    (mentions text "env" && found "${before}env([ \t]+-[0a-z-]+)*${after}" text)
    || (mentions text "set" && found "${before}set([ \t]+[-+]o)?${after}" text)
    || any (mentions text) [ "export" "declare" "typeset" "readonly" "local" ]
      && (found "${before}${declares}${after}" text || found "${before}${declares}[ \t]+-[A-Za-z]*[pn][A-Za-z]*[ \t]" text);

  # A file that is sourced reads the shell's variables, and is not read here.
  sources = text: found "(^|[;&|({`\n])${space}(source|\\.)[ \t]" text;

  # Functions of stdenv that take the names of variables: a name with an expansion in it is made up as it runs.
  takesNames = text:
    any (mentions text) [ "concatTo" "concatStringsSep" ] && found "(concatTo|concatStringsSep)[ \t][^\n;&|]*[$]" text;

  # `[ -v "$name" ]`
  asksWhetherSet = text: mentions text "-v" && found "-v[ \t]+\"?[$]" text;

  # `\${!name}`. The names of outputs (`\${!outputDev}`) and an array's keys (`\${!array[@]}`) are no names of attributes.
  indirect = text:
    mentions text "\${!"
    && any (rest: match "(output[A-Za-z]*[}]|[A-Za-z_][A-Za-z0-9_]*\\[[@*]]).*" (substring 0 80 rest) == null) (
      tail (filter isString (split "[$][{]!" text))
    );
in
{
  # Whether a name stands anywhere in a text; as a whole word.
  inherit mentions isWord;

  # Whether a text may read any variable.
  readsAll = text: any (isWord text) words || otherLanguage text || lists text || sources text || takesNames text || asksWhetherSet text || indirect text;
}
