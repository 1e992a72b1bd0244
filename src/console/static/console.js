/** The console's own script. Pages work without it where a form is enough; it adds what is live and what keys do. */

// A link from elsewhere brings no cookie (SameSite=Strict). Asked from here it does.
const login = document.querySelector('form[data-go]');
if (login) {
  fetch('/console/session').then(
    (answer) => answer.status === 204 && location.replace(login.dataset.go),
    () => {},
  );
}

// What cannot be taken back asks once more.
document.addEventListener('submit', (event) => {
  const words = event.target.dataset.ask;
  if (words && !confirm(words)) event.preventDefault();
});
