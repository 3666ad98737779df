// Sets the chosen theme before the first paint; without a choice the system's is used.
try {
  const theme = localStorage.getItem('vabal.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  /* storage may be forbidden: the system's theme is used */
}
