{# split.nix; filled by `SplitNix` in src/render/mod.rs #}
{%- include "head.nix" %}

  # The chain: one derivation per stage. A stage runs its phases, and is the first to get its attributes: a change of one
  # builds again from that stage on. Attributes that no stage names belong to the scopes below or else to the first
  # stage; a phase that a hook adds goes with the next one that is named.
  chain = [
{%- for entry in chain %}
    {
{%- if entry.idle %}
      # Nothing to run here now: left out of the chain.
{%- endif %}
      stage = "{{ entry.stage }}";
      phases = {{ entry.phases|safe }};
{%- if let Some(attributes) = entry.attributes %}
      attributes = {{ attributes|safe }};
{%- endif %}
{%- if let Some(until) = entry.until %}
      # Ends inside that phase, behind so many bytes of its script.
      until = {{ until|safe }};
{%- endif %}
    }
{%- endfor %}
  ];

  # The state engine, which saves and restores what a stage leaves: one for each system.
  engines = {
{%- for (system, path) in engines %}
    {{ system|safe }} = "{{ path }}";
{%- endfor %}
  };

{% match library -%}
{%- when LibraryText::Import with (path) %}  # phasesplit's nix-lib.
  split = import {{ path|safe }};
{%- when LibraryText::Inline with (text) %}  # phasesplit's nix-lib, version {{ version }}, inlined: nothing below is about this package.
  split =
    (
{{ text.splitter|safe }}
    )
      {
        scopesOf =
          (
{{ text.scope|safe }}
          )
            {
              # nix-lib/scopes.nix
              scopes =
{{ text.scopes|safe }};

              # nix-lib/late-inputs.nix
              knownInputs =
{{ text.late_inputs|safe }};

              # nix-lib/text.nix
              text =
{{ text.text|safe }};
            };

        # nix-lib/cut.nix
        cutPhases =
{{ text.cut|safe }};

        # nix-lib/runtime, which runs inside the build.
        runtime = builtins.toFile "phasesplit-runtime.sh" {{ text.runtime|safe }};
      };
{%- endmatch %}
in
{% if arguments.is_empty() -%}
split { inherit package chain engines; }
{%- else -%}
split {
  inherit package chain engines;
{%- for argument in arguments %}
  {{ argument|safe }}
{%- endfor %}
}
{%- endif -%}
