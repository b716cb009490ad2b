# Functions on lists.
lib: {
  inherit (builtins)
    all
    any
    concatLists
    concatMap
    elem
    elemAt
    filter
    foldl'
    genList
    head
    isList
    length
    map
    partition
    sort
    tail
    ;

  optional = condition: value: if condition then [ value ] else [ ];
  optionals = condition: list: if condition then list else [ ];
  singleton = x: [ x ];
  toList = x: if builtins.isList x then x else [ x ];
  remove = x: builtins.filter (y: y != x);
  last = list: builtins.elemAt list (builtins.length list - 1);
  init = list: lib.take (builtins.length list - 1) list;
  take = n: lib.sublist 0 n;
  drop = n: list: lib.sublist n (builtins.length list) list;
  sublist =
    start: count: list:
    let
      left = builtins.length list - start;
      size = if left < 0 then 0 else lib.min left count;
    in
    builtins.genList (i: builtins.elemAt list (start + i)) size;
  range = first: last: if first > last then [ ] else builtins.genList (i: first + i) (last - first + 1);
  reverseList =
    list:
    let
      n = builtins.length list;
    in
    builtins.genList (i: builtins.elemAt list (n - 1 - i)) n;
  unique = builtins.foldl' (seen: x: if builtins.elem x seen then seen else seen ++ [ x ]) [ ];
  subtractLists = unwanted: builtins.filter (x: !(builtins.elem x unwanted));
  intersectLists = other: builtins.filter (x: builtins.elem x other);
  imap0 = f: list: builtins.genList (i: f i (builtins.elemAt list i)) (builtins.length list);
  imap1 = f: lib.imap0 (i: f (i + 1));
  foldr =
    f: end: list:
    let
      n = builtins.length list;
      from = i: if i == n then end else f (builtins.elemAt list i) (from (i + 1));
    in
    from 0;
  fold = lib.foldr;
  flatten = x: if builtins.isList x then builtins.concatMap lib.flatten x else [ x ];
  findFirst =
    test: default: list:
    let
      found = builtins.filter test list;
    in
    if found == [ ] then default else builtins.head found;
  forEach = list: f: map f list;
  zipListsWith =
    f: a: b:
    builtins.genList (i: f (builtins.elemAt a i) (builtins.elemAt b i)) (
      lib.min (builtins.length a) (builtins.length b)
    );
  crossLists =
    f: lists:
    builtins.foldl' (fs: args: builtins.concatMap (g: map g args) fs) [ f ] lists;
}
