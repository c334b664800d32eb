"""Ways to talk with the bot.  Of the bot, each file knows `bot.chat` and `bot.markup` only."""
