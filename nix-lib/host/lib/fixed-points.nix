# Fixed points and what extends them.
_lib: {
  fix =
    f:
    let
      x = f x;
    in
    x;
  extends =
    overlay: f: final:
    let
      previous = f final;
    in
    previous // overlay final previous;
  composeExtensions =
    first: second: final: previous:
    let
      firstResult = first final previous;
    in
    firstResult // second final (previous // firstResult);
  composeManyExtensions =
    overlays: final: previous:
    builtins.foldl' (done: overlay: done // overlay final (previous // done)) { } overlays;
}
