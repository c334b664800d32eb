"""Ways to talk with the bot.  Each file knows `bot.chat` and `bot.markup`, nothing else of the bot."""
