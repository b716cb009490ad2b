# Which stage first gets an attribute of the package: the contract of stdenv and of the hooks in nixpkgs.
#
# stage -> attribute -> where its first reader is. An attribute that is not named here belongs to unpack, that is to
# every stage, and a change of it builds everything again: leaving a row out is always sound.
#
# A row is right only if no earlier phase reads the attribute. So it names the *earliest* reader (`makeFlags` is read by
# build, check and install: build), and these are left out on purpose:
#   - what setup.sh reads while it loads (`prefix`, `outputs`, every list of inputs, `NIX_*`, hardening);
#   - what a hook reads while it is sourced (`dontUseNinjaBuild`, `dontVersionCheck`, `pythonNamespaces`), but for the
#     phases and wrapper arguments of the contract, which only their own stage uses;
#   - what a phase before unpack reads (`qmakeFlags`, `dontWrapQtApps`), and the lists of phases.
#
# One source for both sides: nix-lib/split.nix imports it, src/phase/scope.rs parses it. So it is a literal: attribute
# sets of strings, no functions, no `rec`, no interpolation.
{
  patch = {
    # The phase and its hooks.
    patchPhase = "nixpkgs manual, the patch phase";
    prePatch = "nixpkgs manual, the patch phase";
    postPatch = "nixpkgs manual, the patch phase";
    dontPatch = "nixpkgs manual, the patch phase";
    patches = "nixpkgs manual, the patch phase";
    patchFlags = "nixpkgs manual, the patch phase";
    # npm's dependencies are installed after patching.
    npmDeps = "pkgs/build-support/node/build-npm-package/hooks/npm-config-hook.sh";
    npmRoot = "pkgs/build-support/node/build-npm-package/hooks/npm-config-hook.sh";
    npmFlags = "pkgs/build-support/node/build-npm-package/hooks/npm-config-hook.sh";
    npmInstallFlags = "pkgs/build-support/node/build-npm-package/hooks/npm-config-hook.sh";
    npmRebuildFlags = "pkgs/build-support/node/build-npm-package/hooks/npm-config-hook.sh";
    makeCacheWritable = "pkgs/build-support/node/build-npm-package/hooks/npm-config-hook.sh";
  };

  configure = {
    # The phase and its hooks.
    configurePhase = "nixpkgs manual, the configure phase";
    preConfigure = "nixpkgs manual, the configure phase";
    postConfigure = "nixpkgs manual, the configure phase";
    dontConfigure = "nixpkgs manual, the configure phase";
    configureScript = "nixpkgs manual, the configure phase";
    configureFlags = "nixpkgs manual, the configure phase";
    dontAddPrefix = "nixpkgs manual, the configure phase";
    prefixKey = "nixpkgs manual, the configure phase";
    dontAddDisableDepTrack = "nixpkgs manual, the configure phase";
    dontDisableStatic = "nixpkgs manual, the configure phase";
    dontFixLibtool = "nixpkgs manual, the configure phase";
    dontPatchShebangsInConfigure = "nixpkgs manual, the configure phase";
    # Directories of several outputs, passed to configure.
    setOutputFlags = "pkgs/build-support/setup-hooks/multiple-outputs.sh";
    shareDocName = "pkgs/build-support/setup-hooks/multiple-outputs.sh";
    # Phases that hooks put before configurePhase.
    autoreconfFlags = "pkgs/by-name/au/autoreconfHook/autoreconf.sh";
    preAutoreconf = "pkgs/by-name/au/autoreconfHook/autoreconf.sh";
    postAutoreconf = "pkgs/by-name/au/autoreconfHook/autoreconf.sh";
    dontUpdateAutotoolsGnuConfigScripts = "pkgs/build-support/setup-hooks/update-autotools-gnu-config-scripts.sh";
    # CMake.
    cmakeFlags = "pkgs/by-name/cm/cmake/setup-hook.sh";
    cmakeDir = "pkgs/by-name/cm/cmake/setup-hook.sh";
    cmakeBuildDir = "pkgs/by-name/cm/cmake/setup-hook.sh";
    cmakeBuildType = "pkgs/by-name/cm/cmake/setup-hook.sh";
    dontUseCmakeBuildDir = "pkgs/by-name/cm/cmake/setup-hook.sh";
    dontFixCmake = "pkgs/by-name/cm/cmake/setup-hook.sh";
    # Meson.
    mesonFlags = "pkgs/by-name/me/meson/setup-hook.sh";
    mesonBuildDir = "pkgs/by-name/me/meson/setup-hook.sh";
    mesonBuildType = "pkgs/by-name/me/meson/setup-hook.sh";
    mesonAutoFeatures = "pkgs/by-name/me/meson/setup-hook.sh";
    mesonWrapMode = "pkgs/by-name/me/meson/setup-hook.sh";
    dontUseMesonCheck = "pkgs/by-name/me/meson/setup-hook.sh";
    dontUseMesonInstall = "pkgs/by-name/me/meson/setup-hook.sh";
    # Waf, GN, Perl, Gradle.
    wafPath = "pkgs/by-name/wa/waf/setup-hook.sh";
    wafConfigureFlags = "pkgs/by-name/wa/waf/setup-hook.sh";
    wafConfigureTargets = "pkgs/by-name/wa/waf/setup-hook.sh";
    gnFlags = "pkgs/by-name/gn/gn/setup-hook.sh";
    makeMakerFlags = "pkgs/development/perl-modules/generic/builder.sh";
    gradleInitScript = "pkgs/development/tools/build-managers/gradle/setup-hook.sh";
    # Go: configure enters the module's directory and puts the vendored modules there.
    modRoot = "pkgs/build-support/go/module.nix";
    goModules = "pkgs/build-support/go/module.nix";
    # JavaScript: dependencies are installed after configuring.
    pnpmDeps = "pkgs/build-support/node/pnpm/pnpm-config-hook.sh";
    pnpmRoot = "pkgs/build-support/node/pnpm/pnpm-config-hook.sh";
    pnpmWorkspaces = "pkgs/build-support/node/pnpm/pnpm-config-hook.sh";
    pnpmInstallFlags = "pkgs/build-support/node/pnpm/pnpm-config-hook.sh";
    prePnpmInstall = "pkgs/build-support/node/pnpm/pnpm-config-hook.sh";
    yarnOfflineCache = "pkgs/build-support/node/fetch-yarn-deps/yarn-config-hook.sh";
  };

  build = {
    # The phase and its hooks.
    buildPhase = "nixpkgs manual, the build phase";
    preBuild = "nixpkgs manual, the build phase";
    postBuild = "nixpkgs manual, the build phase";
    dontBuild = "nixpkgs manual, the build phase";
    buildFlags = "nixpkgs manual, the build phase";
    makeFlags = "nixpkgs manual, the build phase";
    makefile = "nixpkgs manual, the build phase";
    enableParallelBuilding = "nixpkgs manual, the build phase";
    # Build tools; what they read again at check and install is read here first.
    ninjaFlags = "pkgs/by-name/ni/ninja/setup-hook.sh";
    sconsFlags = "pkgs/by-name/sc/scons/setup-hook.sh";
    wafFlags = "pkgs/by-name/wa/waf/setup-hook.sh";
    wafBuildFlags = "pkgs/by-name/wa/waf/setup-hook.sh";
    wafBuildTargets = "pkgs/by-name/wa/waf/setup-hook.sh";
    justFlags = "pkgs/by-name/ju/just/setup-hook.sh";
    zigBuildFlags = "pkgs/development/compilers/zig/setup-hook.sh";
    gradleFlags = "pkgs/development/tools/build-managers/gradle/setup-hook.sh";
    gradleBuildTask = "pkgs/development/tools/build-managers/gradle/setup-hook.sh";
    # Rust.
    cargoBuildType = "pkgs/build-support/rust/hooks/cargo-build-hook.sh";
    cargoBuildFlags = "pkgs/build-support/rust/hooks/cargo-build-hook.sh";
    cargoBuildFeatures = "pkgs/build-support/rust/hooks/cargo-build-hook.sh";
    cargoBuildNoDefaultFeatures = "pkgs/build-support/rust/hooks/cargo-build-hook.sh";
    buildAndTestSubdir = "pkgs/build-support/rust/hooks/cargo-build-hook.sh";
    maturinBuildFlags = "pkgs/build-support/rust/hooks/maturin-build-hook.sh";
    # Go.
    subPackages = "pkgs/build-support/go/module.nix";
    excludedPackages = "pkgs/build-support/go/module.nix";
    ldflags = "pkgs/build-support/go/module.nix";
    tags = "pkgs/build-support/go/module.nix";
    # JavaScript.
    npmBuildScript = "pkgs/build-support/node/build-npm-package/hooks/npm-build-hook.sh";
    npmBuildFlags = "pkgs/build-support/node/build-npm-package/hooks/npm-build-hook.sh";
    yarnBuildScript = "pkgs/build-support/node/fetch-yarn-deps/yarn-build-hook.sh";
    yarnBuildFlags = "pkgs/build-support/node/fetch-yarn-deps/yarn-build-hook.sh";
    pnpmBuildScript = "pkgs/build-support/node/pnpm/pnpm-build-hook.sh";
    pnpmBuildFlags = "pkgs/build-support/node/pnpm/pnpm-build-hook.sh";
    # Python: the wheel is built here, and its metadata relaxed right after.
    pypaBuildFlags = "pkgs/development/interpreters/python/hooks/pypa-build-hook.sh";
    pipBuildFlags = "pkgs/development/interpreters/python/hooks/pip-build-hook.sh";
    setupPyBuildFlags = "pkgs/development/interpreters/python/hooks/setuptools-build-hook.sh";
    setupPyGlobalFlags = "pkgs/development/interpreters/python/hooks/setuptools-build-hook.sh";
    pythonRelaxDeps = "pkgs/development/interpreters/python/hooks/python-relax-deps-hook.sh";
    pythonRemoveDeps = "pkgs/development/interpreters/python/hooks/python-relax-deps-hook.sh";
  };

  check = {
    # The phase and its hooks.
    doCheck = "nixpkgs manual, the check phase";
    checkPhase = "nixpkgs manual, the check phase";
    preCheck = "nixpkgs manual, the check phase";
    postCheck = "nixpkgs manual, the check phase";
    checkTarget = "nixpkgs manual, the check phase";
    checkFlags = "nixpkgs manual, the check phase";
    enableParallelChecking = "nixpkgs manual, the check phase";
    # Test runners. Python's run after install; packages also call them from checkPhase.
    disabledTests = "pkgs/development/interpreters/python/hooks/pytest-check-hook.sh";
    disabledTestPaths = "pkgs/development/interpreters/python/hooks/pytest-check-hook.sh";
    disabledTestMarks = "pkgs/development/interpreters/python/hooks/pytest-check-hook.sh";
    enabledTests = "pkgs/development/interpreters/python/hooks/pytest-check-hook.sh";
    enabledTestPaths = "pkgs/development/interpreters/python/hooks/pytest-check-hook.sh";
    enabledTestMarks = "pkgs/development/interpreters/python/hooks/pytest-check-hook.sh";
    pytestFlags = "pkgs/development/interpreters/python/hooks/pytest-check-hook.sh";
    pytestFlagsArray = "pkgs/development/interpreters/python/hooks/pytest-check-hook.sh";
    unittestFlags = "pkgs/development/interpreters/python/hooks/unittest-check-hook.sh";
    unittestFlagsArray = "pkgs/development/interpreters/python/hooks/unittest-check-hook.sh";
    mesonCheckFlags = "pkgs/by-name/me/meson/setup-hook.sh";
    dontAddTimeoutMultiplier = "pkgs/by-name/me/meson/setup-hook.sh";
    cargoCheckType = "pkgs/build-support/rust/hooks/cargo-check-hook.sh";
    cargoCheckFeatures = "pkgs/build-support/rust/hooks/cargo-check-hook.sh";
    cargoCheckNoDefaultFeatures = "pkgs/build-support/rust/hooks/cargo-check-hook.sh";
    cargoTestFlags = "pkgs/build-support/rust/hooks/cargo-check-hook.sh";
    dontUseCargoParallelTests = "pkgs/build-support/rust/hooks/cargo-check-hook.sh";
    gradleCheckTask = "pkgs/development/tools/build-managers/gradle/setup-hook.sh";
    bustedFlags = "pkgs/development/interpreters/lua-5/hooks/busted-check-hook.sh";
    bustedNoNlua = "pkgs/development/interpreters/lua-5/hooks/busted-check-hook.sh";
  };

  install = {
    # The phase and its hooks.
    installPhase = "nixpkgs manual, the install phase";
    preInstall = "nixpkgs manual, the install phase";
    postInstall = "nixpkgs manual, the install phase";
    dontInstall = "nixpkgs manual, the install phase";
    installFlags = "nixpkgs manual, the install phase";
    installTargets = "nixpkgs manual, the install phase";
    enableParallelInstalling = "nixpkgs manual, the install phase";
    # Build tools.
    mesonInstallFlags = "pkgs/by-name/me/meson/setup-hook.sh";
    mesonInstallTags = "pkgs/by-name/me/meson/setup-hook.sh";
    wafInstallFlags = "pkgs/by-name/wa/waf/setup-hook.sh";
    wafInstallTargets = "pkgs/by-name/wa/waf/setup-hook.sh";
    pipInstallFlags = "pkgs/development/interpreters/python/hooks/pip-install-hook.sh";
    npmPackFlags = "pkgs/build-support/node/build-npm-package/hooks/npm-install-hook.sh";
    npmPruneFlags = "pkgs/build-support/node/build-npm-package/hooks/npm-install-hook.sh";
    dontNpmPrune = "pkgs/build-support/node/build-npm-package/hooks/npm-install-hook.sh";
    yarnKeepDevDeps = "pkgs/build-support/node/fetch-yarn-deps/yarn-install-hook.sh";
    # Hooks after installPhase.
    desktopItems = "pkgs/build-support/setup-hooks/copy-desktop-items.sh";
    dontCopyDesktopItems = "pkgs/build-support/setup-hooks/copy-desktop-items.sh";
    pkgconfigItems = "pkgs/build-support/setup-hooks/copy-pkgconfig-items.sh";
    dontCopyPkgconfigItems = "pkgs/build-support/setup-hooks/copy-pkgconfig-items.sh";
    # Node's executables are wrapped at install, Python's at fixup or, by hand, at install.
    makeWrapperArgs = "pkgs/by-name/no/nodejsInstallExecutables/hook.sh";
    permitUserSite = "pkgs/development/interpreters/python/wrap.sh";
  };

  finish = {
    # Fixup.
    fixupPhase = "nixpkgs manual, the fixup phase";
    preFixup = "nixpkgs manual, the fixup phase";
    postFixup = "nixpkgs manual, the fixup phase";
    dontFixup = "nixpkgs manual, the fixup phase";
    setupHook = "nixpkgs manual, the fixup phase";
    setupHooks = "pkgs/stdenv/generic/setup.sh, fixupPhase";
    propagatedUserEnvPkgs = "pkgs/stdenv/generic/setup.sh, fixupPhase";
    separateDebugInfo = "nixpkgs manual, the fixup phase";
    dontStrip = "pkgs/build-support/setup-hooks/strip.sh";
    dontStripHost = "pkgs/build-support/setup-hooks/strip.sh";
    dontStripTarget = "pkgs/build-support/setup-hooks/strip.sh";
    stripAllList = "pkgs/build-support/setup-hooks/strip.sh";
    stripAllListTarget = "pkgs/build-support/setup-hooks/strip.sh";
    stripAllFlags = "pkgs/build-support/setup-hooks/strip.sh";
    stripDebugList = "pkgs/build-support/setup-hooks/strip.sh";
    stripDebugListTarget = "pkgs/build-support/setup-hooks/strip.sh";
    stripDebugFlags = "pkgs/build-support/setup-hooks/strip.sh";
    stripExclude = "pkgs/build-support/setup-hooks/strip.sh";
    dontPatchELF = "pkgs/by-name/pa/patchelf/setup-hook.sh";
    dontPatchShebangs = "pkgs/build-support/setup-hooks/patch-shebangs.sh";
    dontPruneLibtoolFiles = "pkgs/build-support/setup-hooks/prune-libtool-files.sh";
    dontGzipMan = "pkgs/build-support/setup-hooks/compress-man-pages.sh";
    dontMoveSbin = "pkgs/build-support/setup-hooks/move-sbin.sh";
    dontMoveLib64 = "pkgs/build-support/setup-hooks/move-lib64.sh";
    dontMoveSystemdUserUnits = "pkgs/build-support/setup-hooks/move-systemd-user-units.sh";
    forceShare = "pkgs/build-support/setup-hooks/move-docs.sh";
    moveToDev = "pkgs/build-support/setup-hooks/multiple-outputs.sh";
    propagatedBuildOutputs = "pkgs/build-support/setup-hooks/multiple-outputs.sh";
    noAuditTmpdir = "pkgs/build-support/setup-hooks/audit-tmpdir.sh";
    dontCheckForBrokenSymlinks = "pkgs/build-support/setup-hooks/no-broken-symlinks.sh";
    # Wrappers and run paths.
    gappsWrapperArgs = "pkgs/build-support/setup-hooks/wrap-gapps-hook/wrap-gapps-hook.sh";
    dontWrapGApps = "pkgs/build-support/setup-hooks/wrap-gapps-hook/wrap-gapps-hook.sh";
    wrapPrefixVariables = "pkgs/build-support/setup-hooks/wrap-gapps-hook/wrap-gapps-hook.sh";
    qtWrapperArgs = "pkgs/development/libraries/qt-6/hooks/wrap-qt-apps-hook.sh";
    dontAutoPatchelf = "pkgs/by-name/au/auto-patchelf/auto-patchelf.sh";
    autoPatchelfFlags = "pkgs/by-name/au/auto-patchelf/auto-patchelf.sh";
    autoPatchelfIgnoreMissingDeps = "pkgs/by-name/au/auto-patchelf/auto-patchelf.sh";
    appendRunpaths = "pkgs/by-name/au/auto-patchelf/auto-patchelf.sh";
    runtimeDependencies = "pkgs/by-name/au/auto-patchelf/auto-patchelf.sh";
    patchelfFlags = "pkgs/by-name/au/auto-patchelf/auto-patchelf.sh";
    # The check of what was installed.
    doInstallCheck = "nixpkgs manual, the installCheck phase";
    installCheckPhase = "nixpkgs manual, the installCheck phase";
    preInstallCheck = "nixpkgs manual, the installCheck phase";
    postInstallCheck = "nixpkgs manual, the installCheck phase";
    installCheckTarget = "nixpkgs manual, the installCheck phase";
    installCheckFlags = "nixpkgs manual, the installCheck phase";
    versionCheckProgram = "pkgs/by-name/ve/versionCheckHook/hook.sh";
    versionCheckProgramArg = "pkgs/by-name/ve/versionCheckHook/hook.sh";
    versionCheckKeepEnvironment = "pkgs/by-name/ve/versionCheckHook/hook.sh";
    preVersionCheck = "pkgs/by-name/ve/versionCheckHook/hook.sh";
    postVersionCheck = "pkgs/by-name/ve/versionCheckHook/hook.sh";
    preUdevCheck = "pkgs/by-name/ud/udevCheckHook/hook.sh";
    postUdevCheck = "pkgs/by-name/ud/udevCheckHook/hook.sh";
    # Python, after install.
    pythonImportsCheck = "pkgs/development/interpreters/python/hooks/python-imports-check-hook.sh";
    dontWrapPythonPrograms = "pkgs/development/interpreters/python/mk-python-derivation.nix";
    dontRemovePth = "pkgs/development/interpreters/python/hooks/python-namespaces-hook.sh";
    sphinxRoot = "pkgs/development/interpreters/python/hooks/sphinx-hook.sh";
    sphinxBuilders = "pkgs/development/interpreters/python/hooks/sphinx-hook.sh";
    preBuildSphinx = "pkgs/development/interpreters/python/hooks/sphinx-hook.sh";
    postBuildSphinx = "pkgs/development/interpreters/python/hooks/sphinx-hook.sh";
    preInstallSphinx = "pkgs/development/interpreters/python/hooks/sphinx-hook.sh";
    postInstallSphinx = "pkgs/development/interpreters/python/hooks/sphinx-hook.sh";
    # Distribution.
    doDist = "nixpkgs manual, the distribution phase";
    distPhase = "nixpkgs manual, the distribution phase";
    preDist = "nixpkgs manual, the distribution phase";
    postDist = "nixpkgs manual, the distribution phase";
    distTarget = "nixpkgs manual, the distribution phase";
    distFlags = "nixpkgs manual, the distribution phase";
    tarballs = "nixpkgs manual, the distribution phase";
    dontCopyDist = "nixpkgs manual, the distribution phase";
    # Nix checks these on the outputs of finish.
    allowedReferences = "Nix manual, advanced attributes";
    allowedRequisites = "Nix manual, advanced attributes";
    disallowedReferences = "Nix manual, advanced attributes";
    disallowedRequisites = "Nix manual, advanced attributes";
    outputChecks = "Nix manual, advanced attributes";
  };
}
