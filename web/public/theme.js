// Runs before anything is drawn, so that a chosen theme does not flash up late.
try {
  const theme = localStorage.getItem("mist-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Where nothing may be kept, the system's theme it is.
}
