// placeholder until the verb lands
return 0;
