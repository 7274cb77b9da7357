// expect HIRE-SPEC-004 at 1:1: The spec threw: not today
throw "not today";
