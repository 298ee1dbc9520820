// Cards stood on the page of the overview once: a link to one of them goes on to the page it stands on now.
// Without this, such a link leads to the row of the setting, which has the link.
const follow = () => {
  const row = document.getElementById(location.hash.slice(1))?.closest("table.settings-overview tr");
  if (row) location.replace(row.querySelector("a").href);
};
follow();
addEventListener("hashchange", follow);
