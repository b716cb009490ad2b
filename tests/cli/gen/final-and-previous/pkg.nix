{ hello }: hello.overrideAttrs (finalAttrs: previousAttrs: { postFixup = "true"; })
