# Stages that end inside a phase: which part of its script each stage runs.
#
# An entry of the chain that ends inside a phase says where, in bytes of the script, and what the script was up to there
# (SHA-256): whoever cut it knew that a command ends at that point, and that stays true while the bytes before it are the
# same. What comes behind may change.
{ attributes, chain, fail }:
let
  inherit (builtins)
    elem elemAt filter foldl' genList hashString head isString length listToAttrs map stringLength substring
    unsafeDiscardStringContext;

  entry = elemAt chain;
  indices = genList (index: index) (length chain);
  untils = filter (index: (entry index).until or null != null) indices;
  untilOf = index: (entry index).until;

  scriptOf =
    phase:
    let script = attributes.${phase} or null;
    in
    if phase == "unpackPhase" then fail "unpackPhase cannot be cut: stdenv enters the source only after the whole of it"
    else if !(isString script) then fail "${phase} cannot be cut: the package has no script of that name (a string), so stdenv's or a hook's own function runs"
    else script;

  # The parts of one phase: the entries that run it, in order; each ends where it says, the last with the script.
  partsOf =
    phase:
    let
      script = scriptOf phase;
      holders = filter (index: elem phase (entry index).phases) indices;
      end =
        index:
        if !(elem index untils && (untilOf index).phase == phase) then stringLength script
        else
          let
            until = untilOf index;
            sameUpTo = until.length <= stringLength script && hashString "sha256" (unsafeDiscardStringContext (substring 0 until.length script)) == until.sha256;
          in
          if sameUpTo then until.length
          else fail "${phase} changed before the point where stage ${(entry index).stage} ends, so it is not known where its commands end now: run `phasesplit gen` again";
      step =
        { start, parts }: index:
        {
          start = end index;
          parts = parts ++ [ { inherit index; text = substring start (end index - start) script; } ];
        };
    in
    (foldl' step { start = 0; parts = [ ]; } holders).parts;

  parts = listToAttrs (map (index: let phase = (untilOf index).phase; in { name = phase; value = partsOf phase; }) untils);
in
{
  # phase -> [ { index, text } ]: the entries that run a part of it, and that part. Phases that are not cut are absent.
  inherit parts;

  # The entry where the stage begins whose last entry this is.
  firstOf =
    index:
    let back = at: if at > 0 && elem (at - 1) untils then back (at - 1) else at;
    in back index;

  # What an attribute is in an entry.
  valueAt =
    name: index: whole:
    let own = filter (part: part.index == index) (parts.${name} or [ ]);
    in if own == [ ] then whole else (head own).text;
}
