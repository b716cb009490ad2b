_final: { }
